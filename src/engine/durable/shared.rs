//! What the calls and the threads of the engine share.
//!
//! Locks are taken in this order: `index`, `ground`, `applying`, `writer`,
//! `memtable`; `figures` and `noted` by themselves, and those within `queue`, `synced` and `pool` last. The
//! writer's lock makes the order of commits; who holds it waits for no sync, but where the
//! log needs a segment that was not prepared.

use std::sync::Arc;

use super::checkpoint::Statistics;
use super::commit::{BackPressure, GroupCommit, StagedCommit, SyncedTracker, VersionCache, WriteQueue};
use super::memtable::{Generation, Memtable};
use super::open::{Recovered, recover};
use super::options::Options;
use super::report::OpenReport;
use super::signal::Signal;
use super::storage::{IndexBackend, Snapshot, StoreFiles};
use super::wal::{Log, Pool};
use crate::engine::Feed;
use crate::engine::durable::poison::Poison;
use crate::error::{Failure, Result};
use crate::record::Position;
use crate::sync::{AtomicBool, AtomicU64, Mutex, MutexGuard, Ordering, RwLock};

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) files: StoreFiles,
    /// Read by every call for as long as it takes; written to close the store, and
    /// `None` from then on.
    pub(crate) index: RwLock<Option<Box<dyn IndexBackend>>>,
    /// Held by whoever changes the index.
    pub(crate) ground: Mutex<CheckpointState>,
    /// Written while the index changes.
    pub(crate) applying: RwLock<()>,
    pub(crate) writer: Mutex<Writer>,
    /// Commits that wait for the writer's lock.
    pub(crate) queue: WriteQueue,
    pub(crate) memtable: RwLock<Memtable>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) last_seq: AtomicU64,
    /// What the disk has.
    pub(crate) synced: GroupCommit,
    /// A snapshot is written when there is this much log: when it outgrows the
    /// state.
    pub(crate) snapshot_at: AtomicU64,
    /// Commits wait beyond this much log.
    pub(crate) log_bytes_max: AtomicU64,
    pub(crate) snapshot_due: AtomicBool,
    pub(crate) pressure: BackPressure,
    /// Whether the last checkpoint had no room on the disk.
    pub(crate) is_disk_full: AtomicBool,
    pub(crate) figures: Mutex<Statistics>,
    pub(crate) poison: Poison,
    pub(crate) feed: Feed,
    /// Wakes the thread that syncs and prepares segments.
    pub(crate) upkeep: Signal,
    /// Wakes the thread that writes checkpoints and snapshots.
    pub(crate) checkpoints: Signal,
    pub(crate) report: OpenReport,
    /// The last commit at opening.
    pub(crate) opened: Position,
    /// What is noted of what is synced.
    pub(crate) noted: SyncedTracker,
}

/// The end of the log, and when the memtable was last frozen.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) log: Log,
    /// How much had been written to the log then.
    pub(crate) frozen_at: u64,
    pub(crate) versions: VersionCache,
    /// Commits that the log has not written yet. Empty but during a turn.
    pub(crate) staged: Vec<StagedCommit>,
}

/// What the index has.
#[derive(Debug)]
pub(crate) struct CheckpointState {
    /// The commit up to which it has everything.
    pub(crate) applied: u64,
    /// The commit up to which an interrupted checkpoint may have left something; 0
    /// once another went through.
    pub(crate) leftover: u64,
    pub(crate) snapshot: Option<Snapshot>,
}

impl Writer {
    fn new(log: Log) -> Self {
        Self { log, frozen_at: 0, versions: VersionCache::default(), staged: Vec::new() }
    }
}

impl Shared {
    /// Opens the store that `parts` name. `place` is its name in messages.
    pub(crate) fn open(files: StoreFiles, options: Options, place: String) -> Result<Self> {
        let Recovered { index, log, pool, active, applied, leftover, snapshot, synced, report } =
            recover(&files, &options)?;
        let opened = log.last();
        let last_seq = opened.seq;
        let shared = Self {
            last_seq: AtomicU64::new(last_seq),
            synced: GroupCommit::starting_at(last_seq),
            snapshot_at: AtomicU64::new(0),
            log_bytes_max: AtomicU64::new(0),
            snapshot_due: AtomicBool::new(false),
            memtable: RwLock::new(Memtable::starting_with(active)),
            writer: Mutex::new(Writer::new(log)),
            index: RwLock::new(Some(index)),
            ground: Mutex::new(CheckpointState { applied, leftover, snapshot: None }),
            queue: WriteQueue::default(),
            poison: Poison::new(place),
            pressure: BackPressure::default(),
            is_disk_full: AtomicBool::new(false),
            applying: RwLock::new(()),
            figures: Mutex::new(Statistics { checkpoint_seq: applied, ..Statistics::default() }),
            feed: Feed::default(),
            upkeep: Signal::default(),
            checkpoints: Signal::default(),
            pool,
            files,
            options,
            report,
            opened,
            noted: SyncedTracker::new(synced),
        };
        if let Some(snapshot) = &snapshot {
            // Who wrote it may not have come to this.
            shared.writer.lock().log.release(snapshot.seq);
        }
        shared.set_snapshot(&mut shared.ground.lock(), snapshot);
        shared.judge_pressure(&shared.writer.lock(), &shared.memtable.read().active);
        Ok(shared)
    }

    /// Calls `call` with the index, unless the store is closed or poisoned.
    pub(crate) fn with_index<T>(&self, call: impl FnOnce(&dyn IndexBackend) -> Result<T>) -> Result<T> {
        // Recursively: a call from within a scan must not wait behind `close`, which
        // waits for that scan.
        let index = self.index.read_recursive();
        let index = index.as_deref().ok_or(Failure::Closed)?;
        self.poison.check()?;
        call(index)
    }

    /// Waits for the writer's lock. After a failed write the log has what nobody sees.
    pub(crate) fn lock_writer(&self) -> Result<MutexGuard<'_, Writer>> {
        let writer = self.writer.lock();
        self.poison.check().map(|()| writer)
    }

    /// Makes durable everything up to the commit `seq`.
    pub(crate) fn sync_to(&self, seq: u64) -> Result<()> {
        self.synced.reach(seq, || {
            let (files, upto) = {
                let mut writer = self.lock_writer()?;
                (writer.log.take_unsynced(), self.last_seq.load(Ordering::Acquire))
            };
            self.poison.on_error(files.iter().try_for_each(|file| file.sync()))?;
            Ok(upto)
        })
    }

    pub(crate) fn sync(&self) -> Result<()> {
        self.sync_to(self.last_seq.load(Ordering::Acquire))
    }

    /// Notes the newest snapshot.
    pub(crate) fn set_snapshot(&self, ground: &mut CheckpointState, snapshot: Option<Snapshot>) {
        let state = snapshot.as_ref().map_or(0, |snapshot| snapshot.bytes);
        let at = state.max(self.options.snapshot_log_bytes);
        let mut figures = self.figures.lock();
        figures.snapshot_seq = snapshot.as_ref().map_or(0, |snapshot| snapshot.seq);
        figures.snapshot_bytes = state;
        drop(figures);
        ground.snapshot = snapshot;
        self.snapshot_at.store(at, Ordering::Release);
        let log_bytes_max = at.saturating_mul(2).saturating_add(self.options.snapshot_log_bytes);
        self.log_bytes_max.store(log_bytes_max, Ordering::Release);
    }

    /// Wakes the thread of the checkpoints if there is something for it to do, and
    /// lets commits wait, or go on.
    pub(crate) fn judge_pressure(&self, writer: &Writer, active: &Generation) {
        if active.bytes() >= self.options.checkpoint_bytes()
            || writer.log.written() - writer.frozen_at >= self.options.checkpoint_log_bytes()
            || writer.log.retained() >= self.snapshot_at.load(Ordering::Acquire)
        {
            self.checkpoints.work();
        }
        self.set_pressure(writer, active);
    }

    /// Lets commits wait, or go on.
    pub(crate) fn set_pressure(&self, writer: &Writer, active: &Generation) {
        let is_high = active.bytes() >= self.options.active_bytes_max()
            || writer.log.retained() >= self.log_bytes_max.load(Ordering::Acquire);
        if is_high != self.pressure.is_high() {
            self.pressure.set(is_high);
        }
    }
}
