//! The threads of the engine.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::shared::Shared;
use super::signal::Woken;
use crate::error::{Error, Failure, Result, panic_text};

/// How long the thread of the checkpoints sleeps if nobody wakes it.
const IDLE: Duration = Duration::from_secs(3600);

#[derive(Debug)]
pub(super) struct Threads {
    handles: Vec<JoinHandle<()>>,
}

impl Threads {
    pub(super) fn spawn(shared: &Arc<Shared>) -> Result<Self> {
        let mut threads = Self { handles: Vec::new() };
        threads.add("procstate-sync", shared.clone(), keep_up)?;
        threads.add("procstate-checkpoint", shared.clone(), |shared| {
            while shared.checkpoints.wait(IDLE) != Woken::Stop {
                let _ = shared.maintain();
            }
        })?;
        Ok(threads)
    }

    fn add(&mut self, name: &str, shared: Arc<Shared>, run: fn(&Shared)) -> Result<()> {
        let body = move || {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(&shared))) {
                shared.poison.poison(&failed("go on with its work", &panic_text(panic)));
            }
        };
        let spawned = Builder::new().name(name.to_owned()).spawn(body);
        self.handles.push(spawned.map_err(|error| failed("start its thread", &error.to_string()))?);
        Ok(())
    }

    /// Ends the threads, when they have done what they are at.
    pub(super) fn stop(self, shared: &Shared) {
        shared.upkeep.stop();
        shared.checkpoints.stop();
        for handle in self.handles {
            // Its panic was caught.
            let _ = handle.join();
        }
    }
}

pub(super) fn keep_up(shared: &Shared) {
    while shared.upkeep.wait(shared.options.sync_interval) != Woken::Stop {
        // A failure poisons the store; whoever calls next hears of it.
        if shared.keep_up().is_err() {
            shared.synced.wake_tasks();
        }
    }
}

fn failed(action: &'static str, why: &str) -> Error {
    Failure::Storage { place: "the store".to_owned(), action, why: why.to_owned() }.into()
}
