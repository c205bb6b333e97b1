//! Log files by number.

use std::path::{Path, PathBuf};

/// The number of a log file.
pub(crate) type Slot = u32;

pub(crate) fn path_of(dir: &Path, slot: Slot) -> PathBuf {
    dir.join(format!("{slot:06}.wal"))
}

pub(crate) fn slot_of(name: &str) -> Option<Slot> {
    name.strip_suffix(".wal").filter(|number| number.len() >= 6)?.parse().ok()
}

/// The files without a segment in use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stock {
    /// The id of the newest segment found or created.
    pub(crate) newest: u64,
    pub(crate) next_slot: Slot,
    pub(crate) free: Vec<Slot>,
}
