//! What the calls and the threads of the engine share.
//!
//! Locks are taken in this order: `base`, `ground`, `applying`, `writer`,
//! `memtable`; `figures` and `noted` by themselves, and those within `queue`, `synced` and `pool` last. The
//! writer's lock makes the order of commits; who holds it waits for no sync, but where the
//! log needs a segment that was not prepared.

use std::sync::Arc;

use super::base::Base;
use super::figures::Figures;
use super::memtable::{Generation, Memtable};
use super::note::Noted;
use super::options::Options;
use super::parts::Parts;
use super::pressure::Pressure;
use super::queue::Queue;
use super::recover::{Recovered, recover};
use super::report::OpenReport;
use super::signal::Signal;
use super::snapshots::Snapshot;
use super::turn::Staged;
use super::versions::Versions;
use super::wal::{Log, Pool};
use crate::engine::Feed;
use crate::engine::group::Group;
use crate::engine::poison::Poison;
use crate::error::{Failure, Result};
use crate::record::Position;
use crate::sync::{AtomicBool, AtomicU64, Mutex, MutexGuard, Ordering, RwLock};

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) parts: Parts,
    /// Read by every call for as long as it takes; written to close the store, and
    /// `None` from then on.
    pub(super) base: RwLock<Option<Box<dyn Base>>>,
    /// Held by whoever changes the index.
    pub(super) ground: Mutex<Ground>,
    /// Written while the index changes.
    pub(super) applying: RwLock<()>,
    pub(super) writer: Mutex<Writer>,
    /// Commits that wait for the writer's lock.
    pub(super) queue: Queue,
    pub(super) memtable: RwLock<Memtable>,
    pub(super) pool: Arc<Pool>,
    pub(super) last_seq: AtomicU64,
    /// What the disk has.
    pub(super) synced: Group,
    /// A snapshot is written when there is this much log: when it outgrows the
    /// state.
    pub(super) snapshot_at: AtomicU64,
    /// Commits wait beyond this much log.
    pub(super) log_bytes_max: AtomicU64,
    pub(super) snapshot_due: AtomicBool,
    pub(super) pressure: Pressure,
    /// Whether the last checkpoint had no room on the disk.
    pub(super) is_disk_full: AtomicBool,
    pub(super) figures: Mutex<Figures>,
    pub(super) poison: Poison,
    pub(super) feed: Feed,
    /// Wakes the thread that syncs and prepares segments.
    pub(super) upkeep: Signal,
    /// Wakes the thread that writes checkpoints and snapshots.
    pub(super) checkpoints: Signal,
    pub(super) report: OpenReport,
    /// The last commit at opening.
    pub(super) opened: Position,
    /// What is noted of what is synced.
    pub(super) noted: Noted,
}

/// The end of the log, and when the memtable was last frozen.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) log: Log,
    /// How much had been written to the log then.
    pub(super) frozen_at: u64,
    pub(super) versions: Versions,
    /// Commits that the log has not written yet. Empty but during a turn.
    pub(super) staged: Vec<Staged>,
}

/// What the index has.
#[derive(Debug)]
pub(super) struct Ground {
    /// The commit up to which it has everything.
    pub(super) applied: u64,
    /// The commit up to which an interrupted checkpoint may have left something; 0
    /// once another went through.
    pub(super) leftover: u64,
    pub(super) snapshot: Option<Snapshot>,
}

impl Writer {
    fn new(log: Log) -> Self {
        Self { log, frozen_at: 0, versions: Versions::default(), staged: Vec::new() }
    }
}

impl Shared {
    /// Opens the store that `parts` name. `place` is its name in messages.
    pub(super) fn open(parts: Parts, options: Options, place: String) -> Result<Self> {
        let Recovered { base, log, pool, active, applied, leftover, snapshot, synced, report } =
            recover(&parts, &options)?;
        let opened = log.last();
        let last_seq = opened.seq;
        let shared = Self {
            last_seq: AtomicU64::new(last_seq),
            synced: Group::starting_at(last_seq),
            snapshot_at: AtomicU64::new(0),
            log_bytes_max: AtomicU64::new(0),
            snapshot_due: AtomicBool::new(false),
            memtable: RwLock::new(Memtable::starting_with(active)),
            writer: Mutex::new(Writer::new(log)),
            base: RwLock::new(Some(base)),
            ground: Mutex::new(Ground { applied, leftover, snapshot: None }),
            queue: Queue::default(),
            poison: Poison::new(place),
            pressure: Pressure::default(),
            is_disk_full: AtomicBool::new(false),
            applying: RwLock::new(()),
            figures: Mutex::new(Figures { checkpoint_seq: applied, ..Figures::default() }),
            feed: Feed::default(),
            upkeep: Signal::default(),
            checkpoints: Signal::default(),
            pool,
            parts,
            options,
            report,
            opened,
            noted: Noted::new(synced),
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
    pub(super) fn with_base<T>(&self, call: impl FnOnce(&dyn Base) -> Result<T>) -> Result<T> {
        // Recursively: a call from within a scan must not wait behind `close`, which
        // waits for that scan.
        let base = self.base.read_recursive();
        let base = base.as_deref().ok_or(Failure::Closed)?;
        self.poison.check()?;
        call(base)
    }

    /// Waits for the writer's lock. After a failed write the log has what nobody sees.
    pub(super) fn lock_writer(&self) -> Result<MutexGuard<'_, Writer>> {
        let writer = self.writer.lock();
        self.poison.check().map(|()| writer)
    }

    /// Makes durable everything up to the commit `seq`.
    pub(super) fn sync_to(&self, seq: u64) -> Result<()> {
        self.synced.reach(seq, || {
            let (files, upto) = {
                let mut writer = self.lock_writer()?;
                (writer.log.take_unsynced(), self.last_seq.load(Ordering::Acquire))
            };
            self.poison.on_error(files.iter().try_for_each(|file| file.sync()))?;
            Ok(upto)
        })
    }

    pub(super) fn sync(&self) -> Result<()> {
        self.sync_to(self.last_seq.load(Ordering::Acquire))
    }

    /// Notes the newest snapshot.
    pub(super) fn set_snapshot(&self, ground: &mut Ground, snapshot: Option<Snapshot>) {
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
    pub(super) fn judge_pressure(&self, writer: &Writer, active: &Generation) {
        if active.bytes() >= self.options.checkpoint_bytes()
            || writer.log.written() - writer.frozen_at >= self.options.checkpoint_log_bytes()
            || writer.log.retained() >= self.snapshot_at.load(Ordering::Acquire)
        {
            self.checkpoints.work();
        }
        self.set_pressure(writer, active);
    }

    /// Lets commits wait, or go on.
    pub(super) fn set_pressure(&self, writer: &Writer, active: &Generation) {
        let is_high = active.bytes() >= self.options.active_bytes_max()
            || writer.log.retained() >= self.log_bytes_max.load(Ordering::Acquire);
        if is_high != self.pressure.is_high() {
            self.pressure.set(is_high);
        }
    }
}
