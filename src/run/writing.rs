//! The lock of a run, for whoever writes it. It is not held while a network is waited for, or a
//! worker that only counts would wait with it.

use std::ops::{Deref, DerefMut};

use parking_lot::MutexGuard;

use super::fenced::FencedRun;
use super::state::State;

/// The state of a run, and the right to write it.
pub(super) struct Writing<'a> {
    state: MutexGuard<'a, State>,
    /// Held, also while the state is not, where a call waits for a network.
    writer: Option<MutexGuard<'a, ()>>,
}

impl Writing<'_> {
    /// Calls what may wait for a network. Others may count meanwhile, and nobody else writes.
    pub(super) fn wait<T>(&mut self, call: impl FnOnce() -> T) -> T {
        match self.writer {
            Some(_) => MutexGuard::unlocked(&mut self.state, call),
            None => call(),
        }
    }

    /// Keeps the state too from now on: nobody counts what is not written any more.
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

impl FencedRun {
    pub(super) fn lock_to_write(&self) -> Writing<'_> {
        let writer = self.is_networked.then(|| self.writer.lock());
        Writing { state: self.lock(), writer }
    }

    pub(super) fn try_lock_to_write(&self) -> Option<Writing<'_>> {
        if self.is_networked {
            let writer = self.writer.try_lock()?;
            return Some(Writing { state: self.lock(), writer: Some(writer) });
        }
        Some(Writing { state: self.try_lock()?, writer: None })
    }
}
