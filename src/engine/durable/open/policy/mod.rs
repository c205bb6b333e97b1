//! The open policy: the rules for what may be opened, shared by opening, `verify`, `restore` and
//! `salvage`.
//! Callers first gather [`Facts`]: the manifest, the state of the index, the readable commits. Then
//! [`judge`] decides, without files or a clock, so that its properties can be tested on generated
//! facts. All messages about the verdict are here too.

mod facts;
mod histories;
mod judge;
mod messages;
mod missing_commits;
mod noted;
#[cfg(test)]
mod properties;
mod salvage;

pub(crate) use facts::{Facts, Integrity, SnapshotFacts};
pub(crate) use judge::{IndexFault, LogFault, OpenPlan, Refusal, Verdict, judge, judge_restoring};
pub(crate) use messages::{MISSING_INDEX, gap, not_rebuilt};
pub(crate) use missing_commits::Coverage;
pub use missing_commits::MissingCommits;
pub(crate) use noted::other_history;
pub(crate) use salvage::{Remains, Source, remains, source};
