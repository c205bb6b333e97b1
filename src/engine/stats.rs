//! Statistics of a store, for people and for monitoring.

use std::time::Duration;

/// Statistics of a store.
///
/// Those of log, memtable, checkpoints, snapshots and index are 0 for a store in memory. Counters
/// start when the store is opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The engine: `durable`, `memory` or another.
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
    /// Log segments in use.
    pub log_segments: u64,
    /// The size of the log since the newest snapshot, in bytes.
    pub log_bytes: u64,
    /// The size of preallocated, free log files, in bytes.
    pub log_free_bytes: u64,
    /// Bytes appended to the log.
    pub log_written_bytes: u64,
    /// Records in the memtable, which the index does not have yet.
    pub memtable_records: u64,
    /// The approximate size of the memtable, in bytes.
    pub memtable_bytes: u64,
    /// The last commit in the index.
    pub checkpoint_seq: u64,
    /// Checkpoints written.
    pub checkpoints: u64,
    /// The duration of the last checkpoint.
    pub checkpoint_time: Duration,
    /// The last commit in the newest snapshot; 0 without one.
    pub snapshot_seq: u64,
    /// The size of the newest snapshot, in bytes.
    pub snapshot_bytes: u64,
    /// Snapshots written.
    pub snapshots: u64,
    /// The duration of the last snapshot.
    pub snapshot_time: Duration,
    /// Records in the index.
    pub index_records: u64,
    /// Bytes in the files of the index.
    pub index_bytes: u64,
}
