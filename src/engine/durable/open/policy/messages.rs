//! Words the verdict for opening, `verify`, `restore`, `salvage` and the program's log.

use std::fmt::{self, Display, Formatter};
use std::path::Path;
use std::sync::Arc;

use super::judge::{CopiesFault, HarmlessLogFault, IndexFault, LogFault, Refusal};
use super::missing_commits::MissingCommits;
use super::noted::NotedIn;
use crate::engine::durable::wal::{Broken, HarmlessDamage, LogDamage, Spot};
use crate::error::{Error, Failure};

/// The damage of a missing index.
pub(crate) const MISSING_INDEX: &str = "its files are missing";

const GET_IT_BACK: &str = "Nothing was changed. Restore what was moved or deleted, or a backup; `procstate verify` lists the damage, and `procstate salvage --output NEWDIR` copies everything still readable into a new store";

/// Describes the gap between two readable commits.
pub(crate) fn gap(after: u64, until: u64) -> String {
    match until.saturating_sub(after) {
        0 => "there is data that is not part of the log".to_owned(),
        1 => format!("commit {until} cannot be read"),
        _ => format!("commits {} to {until} cannot be read", after + 1),
    }
}

/// Formats the missing commits between two, with the verb.
fn missing(after: u64, until: u64) -> String {
    let verb = if until == after + 1 { "is" } else { "are" };
    format!("{} {verb}", MissingCommits::new(after + 1, Some(until)))
}

impl Display for Refusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manifest(why) => write!(f, "MANIFEST: {why}"),
            Self::Log { fault, .. } => fault.fmt(f),
            Self::NoCopy { index, copies } => {
                write!(
                    f,
                    "the index: {index}. It could not be rebuilt from snapshot and log either: {copies}"
                )
            }
        }
    }
}

impl Refusal {
    /// Returns the error with which opening fails.
    ///
    /// `log` is the folder of the log.
    pub(crate) fn into_error(self, log: &Path) -> Error {
        let corrupt = |place: &str, why: String| Failure::Corrupt { place: place.to_owned(), why };
        let failure = match self {
            Self::Manifest(why) => corrupt("MANIFEST", why),
            Self::Log { fault: LogFault::Damaged(damage), .. } => {
                let LogDamage { at: Spot { path, offset }, why, first, last } = damage;
                Failure::LogDamaged {
                    path: Arc::unwrap_or_clone(path),
                    offset,
                    why: why.to_string(),
                    first,
                    last,
                }
            }
            Self::Log { fault: LogFault::Gone, applied } => corrupt(
                &format!("log {}", log.display()),
                format!(
                    "{}. The index has everything up to commit {applied}; later commits are lost. Restore the files, or a backup; `procstate salvage --output NEWDIR` makes a new store from the index",
                    LogFault::Gone.bare()
                ),
            ),
            Self::Log { fault, .. } => corrupt("the log", format!("{}. {GET_IT_BACK}", fault.bare())),
            Self::NoCopy { index, copies } => return not_rebuilt(&index.to_string(), &copies.to_string()),
        };
        failure.into()
    }
}

/// Returns the error if a damaged index cannot be rebuilt.
pub(crate) fn not_rebuilt(wrong: &str, why: &str) -> Error {
    let why = format!("{wrong}. It could not be rebuilt from snapshot and log either: {why}. {GET_IT_BACK}");
    Failure::Corrupt { place: "the index".to_owned(), why }.into()
}

impl Display for IndexFault {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(why) => f.write_str(why),
            Self::RolledBack { seq, held } => {
                write!(f, "it ends at commit {seq} and held commit {held} before: it was rolled back")
            }
            Self::OtherHistory { seq } => other_history(f, *seq),
        }
    }
}

fn other_history(f: &mut Formatter<'_>, seq: u64) -> fmt::Result {
    write!(f, "it belongs to another history of this store: its commit {seq} was written by another opening")
}

impl Display for CopiesFault {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Snapshot(why) => f.write_str(why),
            Self::Log(fault @ LogFault::Gone) => write!(f, "the log: {}", fault.bare()),
            Self::Log(fault) => fault.fmt(f),
        }
    }
}

impl Display for LogFault {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("all of the log is gone"),
            Self::LogFiles(_) | Self::Damaged(_) => f.write_str(&self.bare()),
            Self::EndsEarly { .. } | Self::OtherHistory { .. } => write!(f, "the log: {}", self.bare()),
        }
    }
}

impl LogFault {
    /// Formats the fault without the words "the log".
    pub(crate) fn bare(&self) -> String {
        match self {
            Self::LogFiles(why) => why.clone(),
            Self::Gone => "all of it is gone".to_owned(),
            Self::Damaged(LogDamage { at: Spot { path, offset }, why, first, last }) => {
                let place = format!("{} at byte {offset}", path.display());
                format!("{place}: {why}; commits {first} to {last} at least are needed")
            }
            Self::EndsEarly { last, held, .. } => {
                format!(
                    "it ends with commit {last}, but the store held commit {held}: {} missing",
                    missing(*last, *held)
                )
            }
            Self::OtherHistory { seq, by } => format!(
                "it belongs to another history of this store: its commit {seq} was written by another opening than {by} says"
            ),
        }
    }

    /// Describes the loss if the log is truncated.
    pub(crate) fn loss(&self) -> String {
        match self {
            Self::Damaged(LogDamage { at: Spot { path, offset }, why, first, last }) => format!(
                "commits from {first} on, at least to {last}: the log is damaged in {} at byte {offset}, {why}",
                path.display()
            ),
            _ => self.to_string(),
        }
    }
}

impl Display for NotedIn {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Manifest => "MANIFEST",
            Self::Synced => "SYNCED",
            Self::Snapshot => "the newest snapshot",
            Self::Index => "the index",
            Self::Log => "the rest of the log",
        })
    }
}

impl Display for Broken {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFrame => f.write_str("there is no intact frame"),
            Self::CutShort => f.write_str("the file is truncated"),
            Self::LeadsNowhere(next) => write!(
                f,
                "it leads to segment {next:016x}, which is missing, has a damaged header, or is an older one"
            ),
            Self::BeginsLater => {
                f.write_str("the segments before this one are missing, or their headers are damaged")
            }
            Self::Unreadable(why) => write!(f, "it cannot be read: {why}"),
        }
    }
}

impl Display for HarmlessDamage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gap { at: Spot { path, offset }, after, until } => {
                write!(f, "{} at byte {offset}: {}", path.display(), gap(*after, *until))
            }
            Self::Header(path) => {
                write!(f, "{}: its header is damaged; its frames can be read", path.display())
            }
        }
    }
}

impl Display for HarmlessLogFault {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here(found) => {
                let found: Vec<String> = found.iter().map(ToString::to_string).collect();
                f.write_str(&found.join("; "))
            }
            Self::NoCopy(fault) => fault.fmt(f),
        }
    }
}
