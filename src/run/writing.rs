//! The lock of a run as its writer holds it.

use std::ops::{Deref, DerefMut};

use parking_lot::MutexGuard;

use super::state::State;

/// The state of a run, and the right to write it.
///
/// While a call waits for a network, the state is not locked, so that workers that only count do not
/// wait too.
pub(super) struct Writing<'a> {
    state: MutexGuard<'a, State>,
    /// Held, even while the state is not locked, if calls wait for a network.
    writer: Option<MutexGuard<'a, ()>>,
}

impl<'a> Writing<'a> {
    pub(super) fn new(state: MutexGuard<'a, State>, writer: Option<MutexGuard<'a, ()>>) -> Self {
        Self { state, writer }
    }

    /// Makes a call that may wait for a network; meanwhile, others may count, but not write.
    pub(super) fn wait<T>(&mut self, call: impl FnOnce() -> T) -> T {
        match self.writer {
            Some(_) => MutexGuard::unlocked(&mut self.state, call),
            None => call(),
        }
    }

    /// Keeps the state locked from now on, so that nobody counts what will not be written.
    pub(super) fn keep(&mut self) {
        self.writer = None;
    }
}

impl Deref for Writing<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Writing<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}
