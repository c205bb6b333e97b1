//! What a store opens to: one judgement for opening, `verify`, `restore` and `salvage`.
//!
//! Whoever opens a store, or looks at one, gathers [`Facts`] first: what the manifest notes,
//! what is wrong with the index, which commits can be read. Then [`judge`] says what that
//! comes to. It reads no file and knows no clock, so that it can be tested over all facts
//! that there can be. What it says is put into words here too, and nowhere else.

mod facts;
mod judge;
mod messages;
mod missing_commits;
#[cfg(test)]
mod properties;
mod salvage;

pub(crate) use facts::{Facts, Integrity, ManifestFacts, SnapshotFacts, known_openings};
pub(crate) use judge::{
    IndexFault, LogFault, OpenPlan, Refusal, Verdict, judge, judge_restoring, other_history,
};
pub(crate) use messages::{MISSING_INDEX, gap, not_rebuilt};
pub(crate) use missing_commits::Coverage;
pub use missing_commits::MissingCommits;
pub(crate) use salvage::{Remains, Source, remains, source};
