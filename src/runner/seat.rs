//! A thread that works on one item after the other.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

use super::task::{Task, Verdict};

/// A thread for workers. Dropped, it is left to itself: it ends once its worker
/// returns, if ever.
pub(super) struct Seat {
    tasks: Sender<Arc<Task>>,
    thread: JoinHandle<()>,
}

impl Seat {
    /// Starts a thread that carries the name of the process, for debuggers.
    pub(super) fn start(process: &str) -> io::Result<Self> {
        // A thread's name cannot hold a NUL.
        let name = format!("worker {}", process.replace('\0', " "));
        let (tasks, received) = channel();
        let thread = Builder::new().name(name).spawn(move || work(&received))?;
        Ok(Self { tasks, thread })
    }

    pub(super) fn give(&self, task: Arc<Task>) {
        if let Err(refused) = self.tasks.send(task) {
            refused.0.end(Verdict::Panicked("the worker's thread is gone".to_owned()));
        }
    }

    /// Ends a thread that has nothing to do.
    pub(super) fn close(self) {
        drop(self.tasks);
        if self.thread.join().is_err() {
            tracing::error!("a worker's thread panicked outside the worker");
        }
    }
}

fn work(tasks: &Receiver<Arc<Task>>) {
    for task in tasks {
        task.execute();
    }
}
