//! The goals of procstate, and whether a run reached them.

use serde::{Deserialize, Serialize};

use crate::measure::{Outcome, Work};
use crate::peers::{Class, Peer};
use crate::plan::Part;
use crate::results::{CaseResults, Results};
use crate::statistics::Spread;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    pub what: String,
    pub bound: Bound,
    pub limit: f64,
    pub measured: Spread,
    /// The rival; nothing if the limit is absolute.
    pub with: String,
}

/// The bytes that a closed store of few items may take.
const SMALL_BYTES: f64 = (256 << 10) as f64;

/// The bytes that a store of 100 items may take once it is closed after a million updates.
const ENDURED_BYTES: f64 = (1 << 20) as f64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    AtLeast,
    AtMost,
}

impl Goal {
    pub fn is_reached(&self) -> bool {
        match self.bound {
            Bound::AtLeast => self.measured.median >= self.limit,
            Bound::AtMost => self.measured.median <= self.limit,
        }
    }
}

/// Returns the goals that these results can decide.
pub fn goals(results: &Results) -> Vec<Goal> {
    let update = |class, threads| results.call(Work::Update, Some(class), threads);
    let rival = |class, threads, limit| beats_best_rival(update(class, threads)?, limit);
    let goals = [
        rival(Class::ProgramDeath, 1, 1.5),
        rival(Class::ProgramDeath, 64, 1.5),
        update(Class::ProgramDeath, 1).and_then(|case| beats(case, Peer::LmdbNosync, 1.0)),
        rival(Class::PowerLoss, 1, 1.25),
        rival(Class::PowerLoss, 16, 5.0),
        rival(Class::PowerLoss, 64, 10.0),
        update(Class::PowerLoss, 64).and_then(|case| takes_at_most(case, Peer::Procstate, Peer::Bare, 1.15)),
        results.size(Work::Update, 10_000).and_then(|case| beats(case, Peer::Blob, 1000.0)),
        near_bare(results),
        scans_within(results, Peer::Procstate, Peer::Sqlite, 1.0),
        scans_within(results, Peer::ProcstateUndecoded, Peer::Redb, 3.0),
        small_on_disk(results),
        results.part(Part::Endurance).next().and_then(|case| on_disk(case, ENDURED_BYTES)),
        results.size(Work::Populate, 100).and_then(|case| on_disk(case, SMALL_BYTES)),
    ];
    goals.into_iter().flatten().chain(goals_by_size(results)).collect()
}

/// The goals for many items.
fn goals_by_size(results: &Results) -> Vec<Goal> {
    let at_most = |work, items, who, with, limit| takes_at_most(results.size(work, items)?, who, with, limit);
    let memory = |outcome: &Outcome| outcome.memory as f64;
    let disk = |outcome: &Outcome| outcome.disk as f64;
    let size = |work| results.size(work, 1_000_000);
    let goals = [
        at_most(Work::Populate, 1_000_000, Peer::Procstate, Peer::Sqlite, 1.5),
        at_most(Work::Open, 100, Peer::ProcstateInBackground, Peer::Sled, 1.2),
        at_most(Work::Open, 1_000_000, Peer::ProcstateInBackground, Peer::Sled, 1.2),
        size(Work::Update).and_then(|case| has_at_most(case, "memory", memory, Peer::Sled, 1.2)),
        size(Work::Populate).and_then(|case| has_at_most(case, "disk", disk, Peer::Sqlite, 2.0)),
    ];
    goals.into_iter().flatten().collect()
}

fn beats_best_rival(case: &CaseResults, limit: f64) -> Option<Goal> {
    beats(case, case.best_rival()?.peer, limit)
}

/// Compares the throughput with that of a peer.
fn beats(case: &CaseResults, peer: Peer, limit: f64) -> Option<Goal> {
    Some(Goal {
        what: format!("{}{}: times the throughput", case.case.title(), items_of(case)),
        bound: Bound::AtLeast,
        limit,
        measured: case.ratio(peer)?,
        with: peer.name().to_owned(),
    })
}

/// Claim and handoff are two commits, for procstate and for the bare file.
fn near_bare(results: &Results) -> Option<Goal> {
    let case = results.call(Work::Handoff, Some(Class::PowerLoss), 1)?;
    let measured = case.entry(Peer::Procstate)?.times(case.entry(Peer::Bare)?)?;
    Some(Goal {
        what: "Claim and hand back: times as long as two bare writes with fdatasync".to_owned(),
        bound: Bound::AtMost,
        limit: 1.5,
        measured,
        with: Peer::Bare.name().to_owned(),
    })
}

/// Compares the time of a scan with that of a peer, which decodes nothing.
fn scans_within(results: &Results, who: Peer, with: Peer, limit: f64) -> Option<Goal> {
    takes_at_most(results.call(Work::Scan, None, 1)?, who, with, limit)
}

/// Compares the time with that of a peer.
fn takes_at_most(case: &CaseResults, who: Peer, with: Peer, limit: f64) -> Option<Goal> {
    let measured = case.entry(who)?.times(case.entry(with)?)?;
    let what = format!("{}{}, {}: times as long", case.case.title(), items_of(case), who.name());
    Some(Goal { what, bound: Bound::AtMost, limit, measured, with: with.name().to_owned() })
}

/// Compares a quantity with that of a peer.
fn has_at_most(
    case: &CaseResults,
    quantity: &str,
    of: impl Fn(&Outcome) -> f64,
    with: Peer,
    limit: f64,
) -> Option<Goal> {
    let [mine, other] = [Peer::Procstate, with].map(|peer| case.entry(peer)?.median().map(&of));
    let what = format!("{}{}: times the {quantity}", case.case.title(), items_of(case));
    let measured = Spread::of([mine? / other?])?;
    Some(Goal { what, bound: Bound::AtMost, limit, measured, with: with.name().to_owned() })
}

/// Limits the bytes of a closed store.
fn on_disk(case: &CaseResults, limit: f64) -> Option<Goal> {
    let disk = case.entry(Peer::Procstate)?.median()?.disk as f64;
    let what = format!("{}{}: bytes on disk once closed", case.case.title(), items_of(case));
    Some(Goal { what, bound: Bound::AtMost, limit, measured: Spread::of([disk])?, with: String::new() })
}

fn items_of(case: &CaseResults) -> String {
    if case.case.part == Part::Sizes { format!(", {} items", case.case.items) } else { String::new() }
}

/// Compared with the smallest peer that made as many updates in its time.
fn small_on_disk(results: &Results) -> Option<Goal> {
    let case = results.part(Part::Endurance).find(|results| results.case.work == Work::Endure)?;
    let mine = case.entry(Peer::Procstate)?.median()?;
    let others =
        case.entries.iter().filter(|entry| entry.peer != Peer::Procstate && entry.peer != Peer::Blob);
    let others = others.filter_map(|entry| Some((entry.peer, entry.median()?)));
    let (peer, smallest) = others
        .filter(|(_, outcome)| outcome.calls == case.case.calls)
        .min_by_key(|(_, outcome)| outcome.disk)?;
    Some(Goal {
        what: format!("{} updates of 100 items: times the bytes on disk once closed", mine.calls),
        bound: Bound::AtMost,
        limit: 2.0,
        measured: Spread::of([mine.disk as f64 / smallest.disk as f64])?,
        with: peer.name().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::{entry, results, update};

    #[test]
    fn a_goal_is_of_the_best_rival() {
        let case = update(vec![
            entry(Peer::Bare, &[1.0]),
            entry(Peer::Procstate, &[2.0]),
            entry(Peer::Sqlite, &[9.0]),
            entry(Peer::Redb, &[3.0]),
        ]);
        let goals = goals(&results(vec![case]));
        assert_eq!(goals.len(), 1);
        assert_eq!((goals[0].with.as_str(), goals[0].measured.median), ("redb", 1.5));
        assert!(goals[0].is_reached());
    }

    #[test]
    fn a_goal_can_be_missed() {
        let spread = Spread { median: 1.6, min: 1.0, max: 2.0 };
        let (what, with) = (String::new(), String::new());
        let goal = Goal { what, bound: Bound::AtMost, limit: 1.5, measured: spread, with };
        assert!(!goal.is_reached());
        assert!(Goal { bound: Bound::AtLeast, ..goal }.is_reached());
    }
}
