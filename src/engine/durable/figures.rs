//! Figures.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::base::Base;
use super::memtable::View;
use super::shared::Shared;
use crate::engine::Stats;
use crate::error::Result;
use crate::folder::SyncedNote;

/// What was done behind the commits.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) checkpoint_seq: u64,
    pub(super) checkpoints: u64,
    pub(super) checkpoint_time: Duration,
    pub(super) snapshot_seq: u64,
    pub(super) snapshot_bytes: u64,
    pub(super) snapshots: u64,
    pub(super) snapshot_time: Duration,
}

impl Shared {
    pub(super) fn stats(&self) -> Result<Stats> {
        self.with_base(|base| {
            let _still = self.applying.read();
            let view = self.memtable.read().view();
            let index_records = base.contents()?.records;
            let figures = self.figures.lock();
            let mut stats = Stats {
                engine: "durable",
                records: records(base, index_records, &view)?,
                last_seq: self.last_seq.load(Ordering::Acquire),
                synced_seq: self.synced.done(),
                memtable_records: view.all().count() as u64,
                memtable_bytes: view.bytes() as u64,
                checkpoint_seq: figures.checkpoint_seq,
                checkpoints: figures.checkpoints,
                checkpoint_time: figures.checkpoint_time,
                snapshot_seq: figures.snapshot_seq,
                snapshot_bytes: figures.snapshot_bytes,
                snapshots: figures.snapshots,
                snapshot_time: figures.snapshot_time,
                index_records,
                index_bytes: base.disk_bytes()?,
                ..Stats::default()
            };
            drop(figures);
            let log_files = self.add_log(&mut stats);
            stats.disk_bytes = log_files + stats.snapshot_bytes + stats.index_bytes + SyncedNote::BYTES;
            Ok(stats)
        })
    }

    /// Answers how long the files of the log are in all.
    fn add_log(&self, stats: &mut Stats) -> u64 {
        let writer = self.writer.lock();
        stats.log_segments = writer.log.segments() as u64;
        stats.log_bytes = writer.log.retained();
        stats.log_written_bytes = writer.log.written();
        let in_use = writer.log.file_bytes();
        drop(writer);
        stats.log_free_bytes = self.pool.unused_bytes();
        in_use + stats.log_free_bytes
    }
}

/// The records of the index, and what the memtable adds to them and takes away.
fn records(base: &dyn Base, index_records: u64, view: &View) -> Result<u64> {
    let mut records = index_records;
    for (key, entry) in view.all() {
        match (base.get(key.bytes())?.is_some(), entry.payload.is_some()) {
            (false, true) => records = records.saturating_add(1),
            (true, false) => records = records.saturating_sub(1),
            _ => {}
        }
    }
    Ok(records)
}
