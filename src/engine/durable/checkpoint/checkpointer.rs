//! The checkpointer, its state, and the writing of a checkpoint.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::apply::Checkpoint;
use super::statistics::Statistics;
use crate::engine::Stats;
use crate::engine::durable::commit::{CommitPath, Frozen};
use crate::engine::durable::memtable::Readers;
use crate::engine::durable::shared::Shared;
use crate::engine::durable::storage::{IndexBackend, Snapshot};
use crate::error::{Error, Result};
use crate::record::Position;
use crate::sync::{Mutex, RwLock};

/// The disk space for a checkpoint: this much, plus a multiple of the memory of what it writes.
const ROOM_BYTES: u64 = 2 << 20;
const ROOM_FACTOR: u64 = 2;

/// The polling interval while waiting for readers.
const CHECK_INTERVAL: Duration = Duration::from_micros(200);

#[derive(Debug)]
pub(crate) struct Checkpointer {
    pub(super) shared: Arc<Shared>,
    pub(super) commits: Arc<CommitPath>,
    /// Locked while the index changes, a snapshot is written, or log is released.
    pub(super) state: Mutex<CheckpointState>,
    /// Locked exclusively while the index changes, and shared while its records are counted.
    applying: RwLock<()>,
    pub(super) statistics: Mutex<Statistics>,
}

/// The state of the index.
#[derive(Debug)]
pub(super) struct CheckpointState {
    /// The last commit in the index.
    pub(super) applied: u64,
    /// The commit up to which an interrupted checkpoint may have left changes; 0 after a completed
    /// one.
    pub(super) leftover: u64,
    pub(super) snapshot: Option<Snapshot>,
}

impl Checkpointer {
    /// Creates a checkpointer for an index with everything up to the commit `applied`, and possibly
    /// changes of an interrupted checkpoint up to `leftover`.
    pub(crate) fn new(
        shared: Arc<Shared>,
        commits: Arc<CommitPath>,
        applied: u64,
        leftover: u64,
        snapshot: Option<Snapshot>,
    ) -> Self {
        let state = CheckpointState { applied, leftover, snapshot: None };
        let checkpointer = Self {
            shared,
            commits,
            state: Mutex::new(state),
            applying: RwLock::new(()),
            statistics: Mutex::new(Statistics { checkpoint_seq: applied, ..Statistics::default() }),
        };
        checkpointer.set_snapshot(&mut checkpointer.state.lock(), snapshot);
        if !checkpointer.shared.verification.is_pending() {
            checkpointer.release_covered_log();
        }
        checkpointer.commits.judge();
        checkpointer
    }

    /// Releases the log that the newest snapshot covers.
    ///
    /// The previous program may have died before it did so.
    pub(super) fn release_covered_log(&self) {
        let snapshot = self.state.lock().snapshot.as_ref().map(|snapshot| snapshot.seq);
        snapshot.into_iter().for_each(|seq| self.commits.release_log(seq));
    }

    /// Records the newest snapshot.
    pub(super) fn set_snapshot(&self, state: &mut CheckpointState, snapshot: Option<Snapshot>) {
        let bytes = snapshot.as_ref().map_or(0, |snapshot| snapshot.bytes);
        let snapshot_log_bytes = self.shared.options.snapshot_log_bytes;
        let snapshot_at = bytes.max(snapshot_log_bytes);
        let mut statistics = self.statistics.lock();
        statistics.snapshot_seq = snapshot.as_ref().map_or(0, |snapshot| snapshot.seq);
        statistics.snapshot_bytes = bytes;
        drop(statistics);
        state.snapshot = snapshot;
        let log_bytes_max = snapshot_at.saturating_mul(2).saturating_add(snapshot_log_bytes);
        self.commits.set_log_limits(snapshot_at, log_bytes_max);
    }

    /// Calls `call` while no checkpoint changes the index.
    pub(crate) fn while_still<T>(&self, call: impl FnOnce() -> T) -> T {
        let _still = self.applying.read();
        call()
    }

    pub(crate) fn add_statistics(&self, stats: &mut Stats) {
        self.statistics.lock().add_to(stats);
    }

    /// Reports whether the disk has space for a checkpoint.
    ///
    /// A checkpoint that fails halfway would stop the store; without it reads continue, and writes
    /// as long as memory and log suffice.
    fn has_room(&self) -> Result<bool> {
        let log = &self.shared.files.log;
        let wanted = ROOM_BYTES + ROOM_FACTOR * self.shared.memtable.read().active.bytes() as u64;
        let is_full = log.disk.free_bytes(&log.dir)? < wanted;
        if self.commits.set_disk_full(is_full) != is_full && is_full {
            tracing::warn!(dir = %log.dir.display(), "the disk has no room for a checkpoint");
        }
        Ok(!is_full)
    }

    /// Brings the index up to the newest commit, if there is enough space.
    pub(super) fn checkpoint(&self, index: &dyn IndexBackend, state: &mut CheckpointState) -> Result<()> {
        if !self.has_room()? {
            return Ok(());
        }
        let Some(Frozen { generation, readers, upto }) = self.commits.freeze()? else { return Ok(()) };
        // The index must never have a commit that the log could lose.
        self.commits.sync_to(upto.seq)?;
        self.wait_for(readers)?;
        let began = Instant::now();
        let applying = self.applying.write();
        let (from, leftover) = (state.applied, state.leftover);
        // Closing the store waits for this, and so do commits under back-pressure.
        let is_alone = || self.shared.checkpoint_thread.is_stopped() || self.commits.has_back_pressure();
        Checkpoint { generation: &generation, from, to: upto, leftover, is_alone: &is_alone }.apply(index)?;
        state.applied = upto.seq;
        state.leftover = 0;
        let frozen = self.commits.drop_frozen();
        drop(applying);
        let mut statistics = self.statistics.lock();
        statistics.checkpoint_seq = upto.seq;
        statistics.checkpoints += 1;
        statistics.checkpoint_time = began.elapsed();
        drop(statistics);
        // Dropped outside of the locks, since this may free much memory.
        drop((frozen, generation));
        self.note(upto)
    }

    /// Waits for readers of the index that do not see the frozen generation.
    fn wait_for(&self, mut readers: Arc<Readers>) -> Result<()> {
        while Arc::get_mut(&mut readers).is_none() {
            self.shared.poison.check()?;
            std::thread::sleep(CHECK_INTERVAL);
        }
        Ok(())
    }

    /// Records in the manifest that index and log durably have everything up to the commit
    /// `applied`.
    ///
    /// If the index is lost, a log that ends earlier is then known to be incomplete.
    pub(crate) fn note(&self, applied: Position) -> Result<()> {
        let shared = &self.shared;
        self.commits.note_synced(shared.position(self.commits.durable_seq()));
        match shared.files.index_dir.note(applied, shared.writers()).map_err(Error::before_writing) {
            // The previous entry still holds.
            Err(error) if error.is_disk_full() => Ok(()),
            noted => noted,
        }
    }
}
