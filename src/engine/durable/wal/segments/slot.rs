//! The files of a log by their numbers.

use std::path::{Path, PathBuf};

/// The number of a file of the log.
pub(crate) type Slot = u32;

pub(crate) fn path_of(dir: &Path, slot: Slot) -> PathBuf {
    dir.join(format!("{slot:06}.wal"))
}

pub(crate) fn slot_of(name: &str) -> Option<Slot> {
    name.strip_suffix(".wal").filter(|number| number.len() >= 6)?.parse().ok()
}

/// The files besides those of segments in use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stock {
    /// The id of the newest segment that was found or made.
    pub(crate) newest: u64,
    pub(crate) next_slot: Slot,
    pub(crate) free: Vec<Slot>,
}
