//! Statistics.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::engine::Stats;
use crate::engine::durable::memtable::View;
use crate::engine::durable::shared::Shared;
use crate::engine::durable::storage::IndexBackend;
use crate::error::Result;
use crate::folder::SyncedNote;

/// What was done behind the commits.
#[derive(Debug, Default)]
pub(crate) struct Statistics {
    pub(crate) checkpoint_seq: u64,
    pub(crate) checkpoints: u64,
    pub(crate) checkpoint_time: Duration,
    pub(crate) snapshot_seq: u64,
    pub(crate) snapshot_bytes: u64,
    pub(crate) snapshots: u64,
    pub(crate) snapshot_time: Duration,
}

impl Shared {
    pub(crate) fn stats(&self) -> Result<Stats> {
        self.with_index(|index| {
            let _still = self.applying.read();
            let view = self.memtable.read().view();
            let index_records = index.contents()?.records;
            let figures = self.figures.lock();
            let mut stats = Stats {
                engine: "durable",
                records: records(index, index_records, &view)?,
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
                index_bytes: index.disk_bytes()?,
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
fn records(index: &dyn IndexBackend, index_records: u64, view: &View) -> Result<u64> {
    let mut records = index_records;
    for (key, entry) in view.all() {
        match (index.get(key.bytes())?.is_some(), entry.payload.is_some()) {
            (false, true) => records = records.saturating_add(1),
            (true, false) => records = records.saturating_sub(1),
            _ => {}
        }
    }
    Ok(records)
}
