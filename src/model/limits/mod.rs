//! Limits on stored data. Everything has a limit, because unbounded data fails late, in production,
//! and far from its cause.

pub(crate) mod names;

/// The maximum length of a process or work item name, in bytes of UTF-8.
pub(crate) const NAME_BYTES_MAX: usize = 1024;

/// The maximum payload of a record, in bytes.
pub(crate) const RECORD_BYTES_MAX: usize = 1 << 20;

/// The highest commit number. A file that names a higher one is damaged.
pub(crate) const SEQ_MAX: u64 = u64::MAX >> 1;

/// The maximum size of a commit, in bytes of keys and payloads.
pub(crate) const COMMIT_BYTES_MAX: usize = 256 << 20;

/// The maximum size of a work item with its parameters and statistics, in bytes. The rest of its
/// record is reserved for the errors and times of a run.
pub(crate) const ITEM_BYTES_MAX: usize = RECORD_BYTES_MAX - (16 << 10);

/// The maximum length of a statistic's label, in bytes of UTF-8.
pub(crate) const LABEL_BYTES_MAX: usize = 256;

/// The maximum number of labels of an item, and of a run.
pub(crate) const LABELS_MAX: usize = 1000;

/// The size at which the totals of a process stop accepting new labels of workers, in bytes. The
/// rest of the record is reserved for the labels of every run.
pub(crate) const TOTALS_BYTES_MAX: usize = RECORD_BYTES_MAX - (16 << 10);

#[cfg(test)]
mod tests {
    use super::*;

    // Stored data and other programs rely on them.
    #[test]
    fn limits_do_not_change_between_versions() {
        assert_eq!(SEQ_MAX, 9_223_372_036_854_775_807);
        assert_eq!(RECORD_BYTES_MAX, 1_048_576);
        assert_eq!(COMMIT_BYTES_MAX, 268_435_456);
        assert_eq!([ITEM_BYTES_MAX, TOTALS_BYTES_MAX], [1_032_192; 2]);
    }
}
