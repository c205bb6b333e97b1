//! The content of a commit in the feed.

use std::sync::Arc;

use crate::record::Key;

/// The keys that one commit wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Commit {
    pub(crate) seq: u64,
    pub(crate) keys: Arc<[(Key, Written)]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    Put,
    Deleted,
}
