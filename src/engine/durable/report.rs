//! What opening a store found and did.

use std::path::PathBuf;

/// What opening a store found and did. An ordinary opening after an ordinary close
/// reports nothing but its default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenReport {
    /// Commits that were in the log and not in the index: the program or the
    /// machine died before they were checkpointed.
    pub replayed: u64,
    /// Commits that a power loss took: none of them was reported as synced.
    pub torn_tail: Option<TornTail>,
    /// The index was damaged or missing, and was rebuilt from snapshot and log.
    pub rebuilt: Option<Rebuilt>,
    /// A part of the log is damaged. Nothing is lost, since the index has what it
    /// held; a new snapshot was written, and the log goes on behind that without it.
    pub damaged_log: Option<String>,
    /// Acknowledged commits are lost: where the log is damaged, and which. Only
    /// with [`Recovery::CutLog`](crate::Recovery::CutLog).
    pub lost: Option<String>,
    /// The newest snapshot is damaged. Nothing is lost, since the index has what it
    /// held; another was written.
    pub damaged_snapshot: Option<String>,
    /// What is wrong with the file SYNCED, which notes how far the log is durable. It was
    /// written anew. As long as it was not there, commits that were lost at the end of the
    /// log may not have been missed.
    pub damaged_synced: Option<String>,
}

/// The end of a log that was cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TornTail {
    /// The last commit that was kept.
    pub kept: u64,
    /// The newest commit of which a part was found behind it; the same if nothing of what
    /// stood there could be read.
    pub newest: u64,
}

/// A rebuilt index.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rebuilt {
    /// What was wrong with the index.
    pub why: String,
    /// Where the damaged index is kept. It may be deleted.
    pub kept: Option<PathBuf>,
}
