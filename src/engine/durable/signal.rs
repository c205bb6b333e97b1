//! A signal that wakes a background thread, to work or to stop.

use std::time::Duration;

use crate::sync::{self, Condvar, Mutex};

#[derive(Debug, Default)]
pub(crate) struct Signal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    work: bool,
    stop: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Woken {
    Work,
    Timeout,
    Stop,
}

impl Signal {
    pub(crate) fn work(&self) {
        let mut state = self.state.lock();
        if !state.work {
            state.work = true;
            self.changed.notify_all();
        }
    }

    pub(crate) fn stop(&self) {
        self.state.lock().stop = true;
        self.changed.notify_all();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.state.lock().stop
    }

    /// Waits until there is work, the thread must stop, or the time is up.
    pub(crate) fn wait(&self, timeout: Duration) -> Woken {
        let deadline = sync::now().checked_add(timeout);
        let mut state = self.state.lock();
        loop {
            if state.stop {
                return Woken::Stop;
            }
            if std::mem::take(&mut state.work) {
                return Woken::Work;
            }
            match deadline {
                Some(deadline) if sync::now() >= deadline => return Woken::Timeout,
                Some(deadline) => {
                    self.changed.wait_until(&mut state, deadline);
                }
                None => self.changed.wait(&mut state),
            }
        }
    }
}
