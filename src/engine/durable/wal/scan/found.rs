//! What a scan of a log finds.

use std::path::PathBuf;

use crate::error::Result;

/// What stands in a log, in order.
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
    /// Something is missing here: bytes that are no frames, a segment, commits.
    Gap {
        at: Spot,
        /// The last commit before it. If none was read, the last one that the caller has.
        after: u64,
        /// The last commit that is missing; `after` if none is.
        until: u64,
    },
}

/// A place in a file of the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) path: PathBuf,
    pub(crate) offset: u64,
}

pub(crate) type Visitor<'a> = dyn FnMut(Found<'_>) -> Result<()> + 'a;
