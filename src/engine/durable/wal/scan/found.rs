//! The items that a scan of a log finds.

use std::path::PathBuf;
use std::sync::Arc;

use crate::error::Result;

/// An item in a log, in order.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    Commit {
        seq: u64,
        entry: &'a [u8],
        at: Spot,
    },
    /// The beginning of a commit whose rest is missing.
    Begun {
        seq: u64,
        entry: &'a [u8],
        at: Spot,
    },
    /// A gap: bytes that are not frames, or missing segments or commits.
    Gap {
        at: Spot,
        /// The last commit before it. If none was read, the last one known to the caller.
        after: u64,
        /// The last missing commit; `after` if none is missing.
        until: u64,
    },
}

/// A position in a log file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Spot {
    /// Shared by the spots of a file, of which a scan makes one per commit.
    pub(crate) path: Arc<PathBuf>,
    pub(crate) offset: u64,
}

pub(crate) type Visitor<'a> = dyn FnMut(Found<'_>) -> Result<()> + 'a;
