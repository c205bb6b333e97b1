//! The goals of procstate, and whether a run reached them.

use serde::{Deserialize, Serialize};

use crate::measure::Work;
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
    /// The rival.
    pub with: String,
}

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
        update(Class::ProgramDeath, 1).and_then(|case| beats(case, Peer::LmdbNosync, 1.0)),
        rival(Class::PowerLoss, 1, 1.25),
        rival(Class::PowerLoss, 16, 5.0),
        rival(Class::PowerLoss, 64, 10.0),
        results.size(Work::Update, 10_000).and_then(|case| beats(case, Peer::Blob, 1000.0)),
        near_bare(results),
        scans_within(results, Peer::Procstate, Peer::Sqlite, 1.0),
        scans_within(results, Peer::ProcstateUndecoded, Peer::Redb, 3.0),
        small_on_disk(results),
    ];
    goals.into_iter().flatten().collect()
}

fn beats_best_rival(case: &CaseResults, limit: f64) -> Option<Goal> {
    beats(case, case.best_rival()?.peer, limit)
}

/// Compares the throughput with that of a peer.
fn beats(case: &CaseResults, peer: Peer, limit: f64) -> Option<Goal> {
    let items =
        if case.case.part == Part::Sizes { format!(", {} items", case.case.items) } else { String::new() };
    Some(Goal {
        what: format!("{}{items}: times the throughput", case.case.title()),
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
    let case = results.call(Work::Scan, None, 1)?;
    let measured = case.entry(who)?.times(case.entry(with)?)?;
    let what = format!("{}, {}: times as long", case.case.title(), who.name());
    Some(Goal { what, bound: Bound::AtMost, limit, measured, with: with.name().to_owned() })
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
