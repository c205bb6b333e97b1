//! Bounds on what is stored. A limit on everything: what has no bound fails
//! late, in production, and far from its cause.

pub(crate) mod names;

/// The longest name of a process or work item, in bytes of UTF-8.
pub(crate) const NAME_BYTES_MAX: usize = 1024;

/// The largest payload of one record, in bytes.
pub(crate) const RECORD_BYTES_MAX: usize = 1 << 20;

/// No commit gets a number above this one; a file that names one is not what was
/// written.
pub(crate) const SEQ_MAX: u64 = u64::MAX >> 1;

/// The most one commit may write, in bytes of keys and payloads.
pub(crate) const COMMIT_BYTES_MAX: usize = 256 << 20;

/// The most that a work item may take with its parameters and statistics, in
/// bytes. The rest of its record is for the errors and times of a run.
pub(crate) const ITEM_BYTES_MAX: usize = RECORD_BYTES_MAX - (16 << 10);

/// The longest label of a statistic, in bytes of UTF-8.
pub(crate) const LABEL_BYTES_MAX: usize = 256;

/// The most labels under which an item, and a run, counts.
pub(crate) const LABELS_MAX: usize = 1000;

/// The most that the totals of a process take before they are closed to new
/// labels of workers, in bytes. The rest of the record is for those of each run.
pub(crate) const TOTALS_BYTES_MAX: usize = RECORD_BYTES_MAX - (16 << 10);
