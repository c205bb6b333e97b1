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

impl OpenReport {
    /// Logs what opening found and did.
    pub(crate) fn log(&self) {
        if let Some(rebuilt) = &self.rebuilt {
            let kept = rebuilt.kept.as_ref().map_or("nothing".into(), |kept| kept.display().to_string());
            tracing::warn!(why = %rebuilt.why, %kept, "the index was rebuilt from snapshot and log");
        }
        if let Some(torn) = &self.torn_tail {
            tracing::warn!(
                kept = torn.kept,
                newest = torn.newest,
                "the log had a torn tail: commits that were not synced are gone"
            );
        }
        if let Some(lost) = &self.lost {
            tracing::error!(%lost, "the log was cut where it is damaged");
        }
        if let Some(damage) = &self.damaged_snapshot {
            tracing::warn!(%damage, "the newest snapshot is damaged; another is written");
        }
        if let Some(damage) = &self.damaged_synced {
            tracing::warn!(%damage, "SYNCED, which notes how far the log is durable, is written anew");
        }
        if let Some(damage) = &self.damaged_log {
            tracing::warn!(%damage, "a part of the log is damaged that the index does not need");
        }
        if self.replayed > 0 {
            tracing::info!(commits = self.replayed, "commits were replayed from the log");
        }
    }
}
