//! Programs that a test starts and signals, and that end with it.

use std::process::{Child, Command, ExitStatus};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

/// A program; killed when dropped, and when the test program ends.
pub struct Program(Child);

impl Program {
    /// Starts a program through `setpriv`, so that the kernel kills it when the thread that started
    /// it ends.
    pub fn start(arguments: &[String], set_up: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).args(arguments);
        set_up(&mut command);
        Self(spawn(command))
    }

    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// SIGSTOP.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Returns the exit status, if the program has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts a program from a thread that lives as long as the test program: the thread of a test ends
/// with that test, but a shared cluster must remain.
fn spawn(command: Command) -> Child {
    type Request = (Command, Sender<std::io::Result<Child>>);
    static STARTER: OnceLock<Sender<Request>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (requests, received) = channel::<Request>();
        thread::spawn(move || {
            for (mut command, response) in received {
                let _ = response.send(command.spawn());
            }
        });
        requests
    });
    let (response, child) = channel();
    starter.send((command, response)).unwrap();
    child.recv().unwrap().unwrap_or_else(|error| panic!("could not start a program: {error}"))
}
