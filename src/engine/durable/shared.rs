//! The state shared by the parts of an open store.
//!
//! The locks of an open store are taken in the order of ownership:
//!
//! 1. [`OpenIndex`](super::open_index::OpenIndex): every call reads it, closing writes it;
//! 2. the checkpointer's state, then its lock on readers that count;
//! 3. the commit path's writer lock, which orders commits;
//! 4. the memtable here.
//!
//! The locks in the queue, group commit, back-pressure, the pool of segments and the statistics are
//! leaves: no other lock is taken while one of them is held.

use super::memtable::{Generation, Memtable};
use super::options::Options;
use super::poison::Poison;
use super::signal::Signal;
use super::storage::StoreFiles;
use super::verification::Verification;
use crate::record::{Position, Writers};
use crate::sync::{AtomicU64, Ordering, RwLock};

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) files: StoreFiles,
    pub(crate) poison: Poison,
    pub(crate) verification: Verification,
    /// The commits that the log has and the index does not.
    pub(crate) memtable: RwLock<Memtable>,
    /// The newest visible commit.
    last_seq: AtomicU64,
    /// The last commit at opening.
    opened: Position,
    /// Wakes the thread that syncs and prepares segments.
    pub(crate) sync_thread: Signal,
    /// Wakes the thread that writes checkpoints and snapshots.
    pub(crate) checkpoint_thread: Signal,
}

impl Shared {
    /// Creates the state after opening, where `opened` is the last commit of the log, and
    /// `unapplied` the commits that the index lacks.
    ///
    /// `place` is the store's name in messages.
    pub(crate) fn new(
        files: StoreFiles,
        options: Options,
        verification: Verification,
        place: String,
        opened: Position,
        unapplied: Generation,
    ) -> Self {
        Self {
            poison: Poison::new(place),
            verification,
            memtable: RwLock::new(Memtable::starting_with(unapplied, opened.seq)),
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

    /// Makes the commits up to `seq`, which are in the memtable, visible.
    pub(crate) fn show_up_to(&self, seq: u64) {
        self.last_seq.store(seq, Ordering::Release);
    }

    /// Returns the position of the commit `seq`, which must not be before the last one at opening.
    pub(crate) fn position(&self, seq: u64) -> Position {
        if seq <= self.opened.seq { self.opened } else { Position::new(seq, Some(self.files.log.epoch)) }
    }

    /// Returns the openings that can have written the newest commit of the log.
    pub(crate) fn writers(&self) -> Writers {
        self.files.writers(self.opened)
    }
}
