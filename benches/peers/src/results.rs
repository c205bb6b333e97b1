//! The results.

use serde::{Deserialize, Serialize};

use crate::measure::{Outcome, Work};
use crate::peers::{Class, Peer};
use crate::plan::{Case, Part};
use crate::statistics::{Spread, median_index};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    pub machine: String,
    pub command: String,
    pub minutes: f64,
    /// The load average before the first measurement.
    pub load_before: f64,
    pub cases: Vec<CaseResults>,
    /// What could not be measured, with the reason.
    pub failures: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CaseResults {
    pub case: Case,
    pub entries: Vec<Entry>,
}

/// A peer in a case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    pub peer: Peer,
    pub class: Class,
    /// The outcome of each round; `None` for a failure.
    pub rounds: Vec<Option<Outcome>>,
}

impl Results {
    pub fn part(&self, part: Part) -> impl Iterator<Item = &CaseResults> {
        self.cases.iter().filter(move |results| results.case.part == part)
    }

    /// Returns the case of a call.
    pub fn call(&self, work: Work, class: Option<Class>, threads: usize) -> Option<&CaseResults> {
        self.part(Part::Calls).find(|results| {
            let case = &results.case;
            case.work == work && case.class == class && case.threads == threads
        })
    }

    /// Returns the case of a size.
    pub fn size(&self, work: Work, items: usize) -> Option<&CaseResults> {
        self.part(Part::Sizes).find(|results| results.case.work == work && results.case.items == items)
    }
}

impl CaseResults {
    pub fn entry(&self, peer: Peer) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.peer == peer)
    }

    /// Returns the measured entries, fastest first.
    pub fn by_time(&self) -> Vec<&Entry> {
        let mut entries: Vec<_> = self.entries.iter().filter(|entry| entry.median().is_some()).collect();
        entries.sort_by(|a, b| a.micros().total_cmp(&b.micros()));
        entries
    }

    pub fn best_rival(&self) -> Option<&Entry> {
        self.by_time().into_iter().find(|entry| entry.peer.is_rival())
    }

    /// Returns a peer's time as a multiple of procstate's, round by round.
    pub fn ratio(&self, peer: Peer) -> Option<Spread> {
        self.entry(peer)?.times(self.entry(Peer::Procstate)?)
    }
}

impl Entry {
    /// Returns the median outcome.
    pub fn median(&self) -> Option<&Outcome> {
        let outcomes: Vec<_> = self.rounds.iter().flatten().collect();
        let micros: Vec<_> = outcomes.iter().map(|outcome| outcome.micros()).collect();
        median_index(&micros).map(|index| outcomes[index])
    }

    /// Returns the microseconds per call, over all threads; infinite without an outcome.
    pub fn micros(&self) -> f64 {
        let micros = Spread::of(self.rounds.iter().flatten().map(Outcome::micros));
        micros.map_or(f64::INFINITY, |micros| micros.median)
    }

    /// Returns the time as a multiple of `other`, in the rounds that both have.
    pub fn times(&self, other: &Self) -> Option<Spread> {
        let rounds = self.rounds.iter().zip(&other.rounds);
        let both = rounds.filter_map(|(mine, other)| Some((mine.as_ref()?, other.as_ref()?)));
        Spread::of(both.map(|(mine, other)| mine.micros() / other.micros()))
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::plan;

    /// An entry with one call in each round.
    pub fn entry(peer: Peer, micros: &[f64]) -> Entry {
        let outcome = |micros: &f64| Some(Outcome { calls: 1, seconds: micros / 1e6, ..Outcome::default() });
        Entry { peer, class: peer.weakest_class(), rounds: micros.iter().map(outcome).collect() }
    }

    pub fn results(cases: Vec<CaseResults>) -> Results {
        let (machine, command) = ("a machine".to_owned(), "a command".to_owned());
        Results { machine, command, minutes: 1.0, load_before: 0.0, cases, failures: Vec::new() }
    }

    /// The case of a single-threaded update that survives power loss.
    pub fn update(entries: Vec<Entry>) -> CaseResults {
        let mut cases = plan::all(plan::QUICK).into_iter();
        let case = cases.find(|case| case.class == Some(Class::PowerLoss) && case.threads == 1);
        CaseResults { case: case.unwrap(), entries }
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let case = update(vec![entry(Peer::Procstate, &[1.0, 2.0]), entry(Peer::Sqlite, &[3.0, 4.0])]);
        assert_eq!(case.ratio(Peer::Sqlite), Some(Spread { median: 2.5, min: 2.0, max: 3.0 }));
    }

    #[test]
    fn a_round_that_failed_has_no_ratio() {
        let mut failed = entry(Peer::Sqlite, &[3.0, 4.0]);
        failed.rounds[0] = None;
        let case = update(vec![entry(Peer::Procstate, &[1.0, 2.0]), failed]);
        assert_eq!(case.ratio(Peer::Sqlite).map(|ratio| (ratio.min, ratio.max)), Some((2.0, 2.0)));
    }

    #[test]
    fn the_best_rival_is_the_fastest_that_promises_as_much() {
        let case = update(vec![
            entry(Peer::Bare, &[1.0]),
            entry(Peer::Procstate, &[2.0]),
            entry(Peer::Sqlite, &[9.0]),
            entry(Peer::Redb, &[8.0]),
        ]);
        assert_eq!(case.best_rival().map(|entry| entry.peer), Some(Peer::Redb));
    }
}
