//! The note of what is synced (the file SYNCED), kept while the store is open.

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

    /// Notes that the log is durable up to `position`: a log that ends before that is then
    /// known to have lost something. No commit depends on this note; if it cannot be written
    /// the older one holds.
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
                "what is synced cannot be noted in SYNCED; if the end of the log is lost, what came after the last note is not missed"
            );
        }
        state.has_failed = written.is_err();
    }
}
