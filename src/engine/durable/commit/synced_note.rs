//! The SYNCED file of an open store.

use crate::folder::SyncedNote;
use crate::record::Position;
use crate::sync::Mutex;

#[derive(Debug)]
pub(super) struct SyncedTracker {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    note: SyncedNote,
    /// Whether the last write failed.
    has_failed: bool,
}

impl SyncedTracker {
    pub(super) fn new(note: SyncedNote) -> Self {
        Self { state: Mutex::new(State { note, has_failed: false }) }
    }

    /// Records that the log is durable up to `position`, so that a log that ends earlier is known
    /// to be incomplete.
    ///
    /// No commit depends on this; if the write fails, the previous position remains.
    pub(super) fn note(&self, position: Position) {
        let mut state = self.state.lock();
        if position.seq <= state.note.noted().seq {
            return;
        }
        let written = state.note.write(position);
        if let Err(error) = &written
            && !state.has_failed
        {
            tracing::warn!(
                error = %crate::error::chain(error),
                noted = state.note.noted().seq,
                "SYNCED cannot be updated; if the end of the log is lost, the loss of commits after the last update would go unnoticed"
            );
        }
        state.has_failed = written.is_err();
    }
}
