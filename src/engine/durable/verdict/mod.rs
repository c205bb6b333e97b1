//! What a store opens to: one judgement for opening, `verify`, `restore` and `salvage`.
//!
//! Whoever opens a store, or looks at one, gathers [`Facts`] first: what the manifest notes,
//! what is wrong with the index, which commits can be read. Then [`judge`] says what that
//! comes to. It reads no file and knows no clock, so that it can be tested over all facts
//! that there can be. What it says is put into words here too, and nowhere else.

mod facts;
mod judge;
mod missing;
#[cfg(test)]
mod properties;
mod salvage;
mod words;

pub(crate) use facts::{Facts, Noted, Snapshotted, Soundness, known_openings};
pub(crate) use judge::{
    IndexFault, LogFault, Opening, Refusal, Verdict, judge, judge_restoring, other_history,
};
pub(crate) use missing::Coverage;
pub use missing::MissingCommits;
pub(crate) use salvage::{Remains, Source, remains, source};
pub(crate) use words::{MISSING_INDEX, gap, not_rebuilt};
