//! Options of the durable engine.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};

/// The shortest segments that a user can ask for.
pub(crate) const SEGMENT_BYTES_MIN: u32 = 16 << 10;

/// What opening does about a log that is damaged where nothing else has what it
/// held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recovery {
    /// It fails and changes nothing.
    #[default]
    Refuse,
    /// It cuts the log where the damage begins. Every commit from there on is lost,
    /// acknowledged ones too: [`OpenReport::lost`](crate::OpenReport::lost) tells.
    /// For a copy of the store, when there is no backup.
    CutLog,
}

/// Each has a default and a bound that opening keeps it within.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// How long a buffered commit waits at most for its sync. Default: 200 ms.
    pub(crate) sync_interval: Duration,
    /// The length of a segment of the log. Default: 4 MiB; at least 8 KiB.
    pub(crate) segment_bytes: u32,
    /// Memory for what the index does not have yet. Default: 64 MiB. A single larger commit is
    /// accepted.
    pub(crate) memtable_bytes: usize,
    /// No snapshot is written before there is this much log. Default: 64 MiB.
    pub(crate) snapshot_log_bytes: u64,
    /// How much log a closed store keeps that it could do without. Default: 256 KiB.
    pub(crate) log_history_bytes: u64,
    /// Whether opening reads all of the log, not only what the index lacks, so that
    /// damage is found while there is still another copy. Default: yes.
    pub(crate) verify_log: bool,
    pub(crate) recovery: Recovery,
    /// The clock that gives each commit in the log its time.
    pub(crate) clock: Arc<dyn Clock>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sync_interval: Duration::from_millis(200),
            segment_bytes: 4 << 20,
            memtable_bytes: 64 << 20,
            snapshot_log_bytes: 64 << 20,
            log_history_bytes: 256 << 10,
            verify_log: true,
            recovery: Recovery::Refuse,
            clock: Arc::new(SystemClock::new()),
        }
    }
}

impl Options {
    /// A checkpoint begins when the active generation is this large.
    pub(super) fn checkpoint_bytes(&self) -> usize {
        self.memtable_bytes / 4
    }

    /// A checkpoint begins when there is this much log that the index does not have, which bounds
    /// the time that opening takes after a crash.
    pub(super) fn checkpoint_log_bytes(&self) -> u64 {
        self.snapshot_log_bytes / 2
    }

    /// Commits wait while the active generation is this large. The frozen one is
    /// hardly larger.
    pub(super) fn active_bytes_max(&self) -> usize {
        self.memtable_bytes / 2
    }

    /// Free files of the log beyond this many are deleted.
    pub(super) fn free_files_max(&self) -> usize {
        usize::try_from(self.snapshot_log_bytes / u64::from(self.segment_bytes.max(1))).unwrap_or(16) + 2
    }
}
