//! Options of the durable engine.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};

/// The minimum segment size that users can set.
pub(crate) const SEGMENT_BYTES_MIN: u32 = 16 << 10;

/// How opening treats damaged log that has no other copy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recovery {
    /// Opening fails and changes nothing.
    #[default]
    Refuse,
    /// Opening truncates the log where the damage begins. Every commit from there on is lost,
    /// including acknowledged ones, and reported in [`OpenReport::lost`](crate::OpenReport::lost).
    /// For a copy of the store, when there is no backup.
    CutLog,
}

/// When a store is verified: every record, the newest snapshot and the log are read, to find damage
/// while there is another copy of everything.
///
/// See [`StoreBuilder::verify`](crate::StoreBuilder::verify).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verify {
    /// Before it opens. Opening repairs what it finds.
    #[default]
    BeforeOpening,
    /// While it is open. Reads are served at once; commits and backups wait.
    InBackground,
    /// Never.
    Never,
}

impl From<bool> for Verify {
    fn from(verify: bool) -> Self {
        if verify { Self::BeforeOpening } else { Self::Never }
    }
}

/// Each option has a default, and limits that opening enforces.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// The maximum time until the sync of a buffered commit. Default: 200 ms.
    pub(crate) sync_interval: Duration,
    /// The size of a segment. Default: 4 MiB; at least 8 KiB.
    pub(crate) segment_bytes: u32,
    /// The size of the memtable. Default: 64 MiB. A single larger commit is accepted.
    pub(crate) memtable_bytes: usize,
    /// The minimum amount of log before a snapshot. Default: 64 MiB.
    pub(crate) snapshot_log_bytes: u64,
    /// The maximum amount of dispensable log that a closed store keeps. Default: 256 KiB.
    pub(crate) log_history_bytes: u64,
    pub(crate) verify: Verify,
    pub(crate) recovery: Recovery,
    /// The clock for the times of commits in the log.
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
            verify: Verify::default(),
            recovery: Recovery::Refuse,
            clock: Arc::new(SystemClock::new()),
        }
    }
}

impl Options {
    /// The size of the active generation at which a checkpoint starts.
    pub(super) fn checkpoint_bytes(&self) -> usize {
        self.memtable_bytes / 4
    }

    /// The amount of log after the index at which a checkpoint starts, which limits the time to
    /// open after a crash.
    pub(super) fn checkpoint_log_bytes(&self) -> u64 {
        self.snapshot_log_bytes / 2
    }

    /// The size of the active generation at which commits wait. The frozen one is hardly larger.
    pub(super) fn active_bytes_max(&self) -> usize {
        self.memtable_bytes / 2
    }

    /// The number of free log files to keep.
    pub(super) fn free_files_max(&self) -> usize {
        usize::try_from(self.snapshot_log_bytes / u64::from(self.segment_bytes.max(1))).unwrap_or(16) + 2
    }
}
