//! What opening a store found and did.

use std::path::PathBuf;

/// What opening a store found and did.
///
/// A normal opening after a normal close reports only the defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenReport {
    /// The number of commits that were in the log but not in the index, because the program or the
    /// machine died before a checkpoint.
    pub replayed: u64,
    /// The commits that a power loss took; none of them was reported as synced.
    pub torn_tail: Option<TornTail>,
    /// Set if the index was damaged or missing, and was rebuilt from snapshot and log.
    pub rebuilt: Option<Rebuilt>,
    /// The damage of a part of the log. Nothing is lost, since the index has its content; a new
    /// snapshot was written, and the log continues after it.
    pub damaged_log: Option<String>,
    /// Where the log is damaged and which acknowledged commits are lost. Only with
    /// [`Recovery::CutLog`](crate::Recovery::CutLog).
    pub lost: Option<String>,
    /// The damage of the newest snapshot. Nothing is lost, since the index has its content; a new
    /// one was written.
    pub damaged_snapshot: Option<String>,
    /// The damage of the file SYNCED, which records how far the log is durable. It was rewritten.
    /// While it was missing, a loss at the end of the log may have gone unnoticed.
    pub damaged_synced: Option<String>,
}

/// The end of a log that was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TornTail {
    /// The last commit that was kept.
    pub kept: u64,
    /// The newest commit found (at least in part) after `kept`; equal to `kept` if nothing there
    /// was readable.
    pub newest: u64,
}

/// A rebuilt index.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rebuilt {
    /// What was wrong with the index.
    pub why: String,
    /// The path of the damaged index, which may be deleted.
    pub kept: Option<PathBuf>,
}

impl OpenReport {
    /// Logs the report.
    pub(crate) fn log(&self) {
        if let Some(rebuilt) = &self.rebuilt {
            let kept = rebuilt.kept.as_ref().map_or("nothing".into(), |kept| kept.display().to_string());
            tracing::warn!(why = %rebuilt.why, %kept, "the index was rebuilt from snapshot and log");
        }
        if let Some(torn) = &self.torn_tail {
            tracing::warn!(
                kept = torn.kept,
                newest = torn.newest,
                "the log had a torn tail: commits that were not synced were removed"
            );
        }
        if let Some(lost) = &self.lost {
            tracing::error!(%lost, "the log was cut where it is damaged");
        }
        if let Some(damage) = &self.damaged_snapshot {
            tracing::warn!(%damage, "the newest snapshot is damaged; a new one is written");
        }
        if let Some(damage) = &self.damaged_synced {
            tracing::warn!(%damage, "SYNCED, which records how far the log is durable, is rewritten");
        }
        if let Some(damage) = &self.damaged_log {
            tracing::warn!(%damage, "a part of the log is damaged that the index does not need");
        }
        if self.replayed > 0 {
            tracing::info!(commits = self.replayed, "commits were replayed from the log");
        }
    }
}
