//! The write lock of a run. The state is unlocked during network calls, so that workers that only
//! count do not wait.

use std::ops::{Deref, DerefMut};

use parking_lot::MutexGuard;

use super::fenced::FencedRun;
use super::state::State;

/// The locked state of a run, with the right to write it.
pub(super) struct Writing<'a> {
    state: MutexGuard<'a, State>,
    /// On a networked store, held for the whole write, including while the state is unlocked.
    writer: Option<MutexGuard<'a, ()>>,
}

impl Writing<'_> {
    /// Makes a call that may wait for a network. Workers may count meanwhile; no other write starts.
    pub(super) fn wait<T>(&mut self, call: impl FnOnce() -> T) -> T {
        match self.writer {
            Some(_) => MutexGuard::unlocked(&mut self.state, call),
            None => call(),
        }
    }

    /// Keeps the state locked from now on: no worker may count anything after the last write.
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
