//! What the parts of an open store share: it is small, and has no logic of its own.
//!
//! The locks of an open store are taken in the order in which the parts own one another:
//!
//! 1. [`OpenIndex`](super::open_index::OpenIndex): every call reads it, closing writes it;
//! 2. the checkpointer's state, then its lock on readers that count;
//! 3. the commit path's writer lock, which orders commits;
//! 4. the memtable here.
//!
//! The locks inside the queue, group commit, back-pressure, the pool of segments and the
//! statistics are leaves: whoever holds one takes no other.

use super::memtable::{Generation, Memtable};
use super::options::Options;
use super::poison::Poison;
use super::signal::Signal;
use super::storage::StoreFiles;
use crate::record::{Position, Writers};
use crate::sync::{AtomicU64, Ordering, RwLock};

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) files: StoreFiles,
    pub(crate) poison: Poison,
    /// What the log has and the index does not.
    pub(crate) memtable: RwLock<Memtable>,
    /// The newest commit that readers see.
    last_seq: AtomicU64,
    /// The last commit at opening.
    opened: Position,
    /// Wakes the thread that syncs and prepares segments.
    pub(crate) sync_thread: Signal,
    /// Wakes the thread that writes checkpoints and snapshots.
    pub(crate) checkpoint_thread: Signal,
}

impl Shared {
    /// `opened` is the last commit of the log, and `unapplied` what the index lacks of it.
    /// `place` is the store's name in messages.
    pub(crate) fn new(
        files: StoreFiles,
        options: Options,
        place: String,
        opened: Position,
        unapplied: Generation,
    ) -> Self {
        Self {
            poison: Poison::new(place),
            memtable: RwLock::new(Memtable::starting_with(unapplied)),
            last_seq: AtomicU64::new(opened.seq),
            sync_thread: Signal::default(),
            checkpoint_thread: Signal::default(),
            opened,
            files,
            options,
        }
    }

    pub(crate) fn last_seq(&self) -> u64 {
        self.last_seq.load(Ordering::Acquire)
    }

    /// Shows readers the commits up to `seq`, which the memtable has.
    pub(crate) fn show_up_to(&self, seq: u64) {
        self.last_seq.store(seq, Ordering::Release);
    }

    /// The commit `seq`, which is not before the last one at opening.
    pub(crate) fn position(&self, seq: u64) -> Position {
        if seq <= self.opened.seq { self.opened } else { Position::new(seq, Some(self.files.log.epoch)) }
    }

    /// Who can have written the newest commit of the log.
    pub(crate) fn writers(&self) -> Writers {
        self.files.writers(self.opened)
    }
}
