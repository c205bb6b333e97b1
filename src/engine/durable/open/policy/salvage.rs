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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::durable::open::policy::facts::ManifestFacts;
    use crate::engine::durable::wal::{Behind, Run, Spot};
    use crate::folder::Synced;
    use crate::record::Writers;

    fn run(after: u64, last: u64) -> Run {
        let mut run = Run { after, last, synced: last, ..Run::default() };
        // Marks that it has whole commits.
        run.end.offset = 1;
        run
    }

    fn log(runs: Vec<Run>) -> Survey {
        let first = runs.first().map(|run| (Spot::default(), run.after + 1));
        Survey { runs, first, ..Survey::default() }
    }

    /// Searches a log without any base; SYNCED records the commit `synced`.
    fn search(log: &Survey, synced: u64, must_have_log: bool) -> Remains {
        let manifest = ManifestFacts { index: None, must_have_log, writers: Writers::default() };
        let synced = Some(Position::new(synced, None));
        let known = Facts::noted(Err(String::new()), &Synced::default());
        remains(&Facts { manifest: Ok(manifest), synced, log: Ok(log.clone()), ..known }, log, 0, true)
    }

    fn missing(remains: &Remains) -> String {
        remains.coverage.missing().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn a_store_that_must_have_a_log_may_have_lost_everything_with_it() {
        assert_eq!(missing(&search(&log(Vec::new()), 0, false)), "");
        assert_eq!(missing(&search(&log(Vec::new()), 0, true)), "everything from commit 1 on");
    }

    #[test]
    fn a_log_behind_a_gap_may_have_ended_early() {
        let gap = Some(Spot::default());
        let broken = Run { behind: Behind { synced: 8, ..Behind::default() }, ..run(0, 3) };
        let log = log(vec![broken, Run { gap, ..run(4, 8) }]);
        assert_eq!(missing(&search(&log, 7, true)), "commit 4");
        assert_eq!(missing(&search(&log, 8, true)), "commit 4");
        assert_eq!(missing(&search(&log, 9, true)), "commit 4, commit 9, everything from commit 10 on");
    }

    #[test]
    fn an_intact_end_is_returned_with_what_is_cut_off() {
        let behind = Behind { newest: Some(7), ..Behind::default() };
        let remains = search(&log(vec![Run { behind, ..run(0, 5) }]), 5, true);
        assert_eq!((missing(&remains), remains.end), (String::new(), Some(5)));
        assert_eq!(remains.log_end.map(|end| end.last_seq), Some(5));
        assert_eq!(remains.torn_tail, Some(TornTail { kept: 5, newest: 7 }));
    }

    /// What is known of the end of a log.
    #[derive(Debug, Clone, Copy)]
    struct Known {
        manifest: bool,
        index: bool,
        is_torn: bool,
        is_synced: bool,
        is_clean: bool,
        is_certain: bool,
    }

    fn doubtful(known: Known) -> bool {
        let manifest = ManifestFacts { index: None, must_have_log: true, writers: Writers::default() };
        let facts = Facts {
            manifest: known.manifest.then_some(manifest).ok_or_else(String::new),
            index: known.index.then_some(Position::new(5, None)).ok_or_else(String::new),
            snapshots: vec![SnapshotFacts { position: Position::new(2, None), soundness: Integrity::Intact }],
            ..Facts::noted(Err(String::new()), &Synced::default())
        };
        let end = LogEnd {
            last_seq: 5,
            synced: if known.is_synced { 5 } else { 4 },
            end: Run::default().end,
            is_clean: known.is_clean,
            segments: Vec::new(),
            harmless: Vec::new(),
            torn: known.is_torn.then_some(6),
            epochs: Vec::new(),
            says: None,
        };
        is_doubtful(&facts, &end, known.is_certain)
    }

    #[test]
    fn the_end_of_a_log_is_doubtful_unless_something_vouches_for_it() {
        let sure = Known {
            manifest: true,
            index: true,
            is_torn: false,
            is_synced: true,
            is_clean: false,
            is_certain: true,
        };
        let without_manifest = Known { manifest: false, ..sure };
        let without_both = Known { index: false, ..without_manifest };
        let certain = [
            sure,
            Known { is_torn: true, ..sure },
            Known { index: false, ..sure },
            without_manifest,
            Known { is_clean: true, ..without_both },
        ];
        let uncertain = [
            Known { is_certain: false, ..sure },
            Known { index: false, is_torn: true, ..sure },
            Known { is_synced: false, ..without_manifest },
            Known { is_torn: true, ..without_manifest },
            without_both,
        ];
        certain.iter().for_each(|known| assert!(!doubtful(*known), "{known:?}"));
        uncertain.iter().for_each(|known| assert!(doubtful(*known), "{known:?}"));
    }
}
