//! The open policy: the rules of what may be opened, for opening, `verify`, `restore` and `salvage`
//! alike.
//!
//! Each of them gathers [`Facts`] first: what the manifest notes, what is wrong with the index,
//! which commits can be read. Then [`judge`] decides. It reads no file and no clock, so that
//! properties can be tested over generated facts. The words for the verdict are here too, and
//! nowhere else.

mod facts;
mod judge;
mod messages;
mod missing_commits;
#[cfg(test)]
mod properties;
mod salvage;

pub(crate) use facts::{Facts, Integrity, SnapshotFacts};
pub(crate) use judge::{
    IndexFault, LogFault, OpenPlan, Refusal, Verdict, judge, judge_restoring, other_history,
};
pub(crate) use messages::{MISSING_INDEX, gap, not_rebuilt};
pub(crate) use missing_commits::Coverage;
pub use missing_commits::MissingCommits;
pub(crate) use salvage::{Remains, Source, remains, source};
