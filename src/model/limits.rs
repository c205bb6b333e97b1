//! Bounds on what is stored. A limit on everything: what has no bound fails
//! late, in production, and far from its cause.

/// The longest name of a process or work item, in bytes of UTF-8.
pub(crate) const NAME_BYTES_MAX: usize = 1024;

/// The largest payload of one record, in bytes.
pub(crate) const RECORD_BYTES_MAX: usize = 1 << 20;

/// The most one commit may write, in bytes of keys and payloads.
pub(crate) const COMMIT_BYTES_MAX: usize = 256 << 20;
