//! Statistics of a store, for people and for monitoring.

use std::time::Duration;

/// Figures of a store. Those of log, memtable, checkpoints, snapshots and index
/// are 0 for a store in memory. What is counted is counted since the store was
/// opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The engine that keeps the records: `durable` or `memory`.
    pub engine: &'static str,
    /// Processes in the store.
    pub processes: u64,
    /// Records in the store: a process has up to four and one for each work item
    /// and each past run.
    pub records: u64,
    /// Bytes in the files of the store.
    pub disk_bytes: u64,
    /// The sequence number of the newest commit.
    pub last_seq: u64,
    /// The newest commit that is known to survive power loss.
    pub synced_seq: u64,
    /// Segments of the log that are in use.
    pub log_segments: u64,
    /// Bytes of the log that the newest snapshot does not make superfluous.
    pub log_bytes: u64,
    /// Bytes of files that are ready for more log.
    pub log_free_bytes: u64,
    /// Bytes that were appended to the log.
    pub log_written_bytes: u64,
    /// Records that the log has and the index does not yet.
    pub memtable_records: u64,
    /// The memory that they take, roughly.
    pub memtable_bytes: u64,
    /// The commit up to which the index has everything.
    pub checkpoint_seq: u64,
    /// Checkpoints that were written.
    pub checkpoints: u64,
    /// How long the last one took.
    pub checkpoint_time: Duration,
    /// The commit up to which the newest snapshot has everything; 0 without one.
    pub snapshot_seq: u64,
    /// Bytes of the newest snapshot.
    pub snapshot_bytes: u64,
    /// Snapshots that were written.
    pub snapshots: u64,
    /// How long the last one took.
    pub snapshot_time: Duration,
    /// Records in the index.
    pub index_records: u64,
    /// Bytes in the files of the index.
    pub index_bytes: u64,
}
