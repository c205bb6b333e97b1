//! Decides the base of a salvage, and which commits are missing.

use super::facts::{Facts, Integrity, SnapshotFacts};
use super::histories::{Part, Parts, foreign_commit};
use super::judge::{is_of_other_history, judge_index};
use super::missing_commits::Coverage;
use super::noted::{noted_commits, other_history};
use crate::engine::durable::report::TornTail;
use crate::engine::durable::wal::{Broken, LogDamage, LogEnd, Survey};
use crate::record::Position;

/// A base with everything up to some commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Index,
    /// The snapshot with this index in the list.
    Snapshot(usize),
    /// The empty store before the first commit.
    Nothing,
}

/// The log after a base.
#[derive(Debug, Clone)]
pub(crate) struct Remains {
    /// The commits after the base that the log has.
    pub(crate) coverage: Coverage,
    /// The last commit of the log, if its end is intact. Anything after it is removed.
    pub(crate) end: Option<u64>,
    /// The end of the log that is followed, if it is intact.
    pub(crate) log_end: Option<LogEnd>,
    pub(crate) torn_tail: Option<TornTail>,
    /// The commits in the log that a diverged copy of the store wrote.
    pub(crate) foreign: Vec<Part>,
}

/// Returns the newest base, and its last commit.
pub(crate) fn source(facts: &Facts) -> (Source, u64) {
    let is_own = |position: &Position| !is_of_other_history(facts, *position);
    // An index that was rolled back to before its first commit is empty.
    let index = facts.index.as_ref().ok().filter(|index| index.seq > 0 && is_own(index));
    let is_sound = |found: &SnapshotFacts| found.soundness == Integrity::Intact && is_own(&found.position);
    let snapshots = facts.snapshots.iter().enumerate().filter(|(_, found)| is_sound(found));
    let snapshots = snapshots.map(|(n, found)| (Source::Snapshot(n), found.position.seq));
    // Among equals `max_by_key` returns the last: the index.
    let found = snapshots.chain(index.map(|index| (Source::Index, index.seq)));
    found.max_by_key(|(_, seq)| *seq).unwrap_or((Source::Nothing, 0))
}

/// Returns what the `log`, read from the commit `seq` on, has after a base that ends with that
/// commit.
///
/// `is_certain` tells whether all files certainly belong to one store.
pub(crate) fn remains(facts: &Facts, log: &Survey, seq: u64, is_certain: bool) -> Remains {
    let known = noted_commits(facts).into_iter().map(|(_, seen)| seen.seq).max().unwrap_or(0);
    let mut coverage = Coverage::from(seq);
    coverage.is_known_up_to(known);
    let must_have_log = facts.manifest.as_ref().map_or(true, |noted| noted.must_have_log);
    let Parts { own, foreign } = Parts::of(facts, log);
    let is_own =
        |end: &LogEnd| other_history(facts, log).is_none() && foreign_commit(facts, end, seq).is_none();
    match log.end_behind(seq) {
        // Otherwise what looks like a torn tail was durable.
        Ok(Some(end)) if end.last_seq >= known && is_own(&end) => {
            return ends(facts, &own, coverage, end, is_certain);
        }
        Ok(None) if !must_have_log => {
            coverage.end(false);
            return Remains::without_log(coverage, None);
        }
        Ok(_) => {}
        Err(LogDamage { why: Broken::Unreadable(_), .. }) => {}
        Err(damage) => coverage.is_known_up_to(damage.last),
    }
    let reached = reach(&own, &mut coverage, None).max(seq);
    // There may be another gap after this one.
    let is_end_unknown = match log.end_behind(reached) {
        Ok(end) => end.is_none_or(|end| end.last_seq < known),
        Err(LogDamage { why: Broken::Unreadable(_), .. }) => true,
        Err(damage) => {
            coverage.is_known_up_to(damage.last);
            true
        }
    };
    coverage.end(is_end_unknown || !foreign.is_empty());
    Remains { foreign, ..Remains::without_log(coverage, None) }
}

impl Remains {
    fn without_log(coverage: Coverage, end: Option<u64>) -> Self {
        Self { coverage, end, log_end: None, torn_tail: None, foreign: Vec::new() }
    }
}

/// The end of the log is intact.
fn ends(facts: &Facts, log: &[Part], mut coverage: Coverage, end: LogEnd, is_certain: bool) -> Remains {
    let kept = end.last_seq;
    coverage.is_known_up_to(kept);
    reach(log, &mut coverage, Some(kept));
    coverage.end(is_doubtful(facts, &end, is_certain));
    let torn_tail = end.torn.map(|newest| TornTail { kept, newest });
    Remains { log_end: Some(end), torn_tail, ..Remains::without_log(coverage, Some(kept)) }
}

/// Records the commits that the parts of a log have, up to its `end`, if known; returns the last one.
fn reach(log: &[Part], coverage: &mut Coverage, end: Option<u64>) -> u64 {
    let mut reached = 0;
    for part in log {
        let last = end.map_or(part.last, |end| end.min(part.last));
        coverage.reach(part.after, last);
        reached = reached.max(last).max(part.newest.unwrap_or(0));
        if end.is_none() {
            coverage.is_known_up_to(part.newest.max(part.begun).unwrap_or(0));
        }
    }
    reached
}

/// Reports whether there may have been more commits than the log has: a damaged end can look like a
/// torn tail, or, if nothing is left after it, like a proper end.
fn is_doubtful(facts: &Facts, end: &LogEnd, is_certain: bool) -> bool {
    let has_index = judge_index(facts).is_ok();
    // The index may be an old copy.
    let is_whole = end.torn.is_none() && end.synced >= end.last_seq;
    let is_vouched_for = facts.manifest.is_ok() || end.is_clean || (has_index && is_whole);
    (!has_index && end.torn.is_some()) || !(is_certain && is_vouched_for)
}
