//! What is noted outside of index and log: how far both have everything, and how far the log
//! is durable.

use crate::engine::durable::shared::Shared;
use crate::error::{Error, Result};
use crate::folder::SyncedNote;
use crate::record::{Position, Writers};
use crate::sync::Mutex;

/// The note of what is synced, while the store is open.
#[derive(Debug)]
pub(crate) struct SyncedTracker {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    note: SyncedNote,
    /// Whether it could not be written the last time.
    has_failed: bool,
}

impl SyncedTracker {
    pub(crate) fn new(note: SyncedNote) -> Self {
        Self { state: Mutex::new(State { note, has_failed: false }) }
    }
}

impl Shared {
    /// The commit `seq`, which is not before the last one at opening.
    pub(crate) fn position(&self, seq: u64) -> Position {
        if seq <= self.opened.seq { self.opened } else { Position::new(seq, Some(self.pool.epoch())) }
    }

    /// Who can have written the newest commit of the log.
    pub(crate) fn writers(&self) -> Writers {
        Writers { own: Some(self.pool.epoch()), found: self.opened.epoch }
    }

    /// Notes that index and log durably have everything up to the commit `applied`: a log
    /// that ends before that, with the index gone, is known to have lost something.
    pub(crate) fn note(&self, applied: Position) -> Result<()> {
        self.note_synced(self.position(self.synced.done()));
        match self.files.index_dir.note(applied, self.writers()).map_err(Error::before_writing) {
            // What was noted before still holds.
            Err(error) if error.is_disk_full() => Ok(()),
            noted => noted,
        }
    }

    /// Notes that the log is durable up to `position`: if it ends before that some day, it is
    /// known to have lost something. No commit depends on this note, and where it cannot be
    /// written the older one holds.
    pub(crate) fn note_synced(&self, position: Position) {
        let mut state = self.noted.state.lock();
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
