//! The plan of measurements.

use serde::{Deserialize, Serialize};

use crate::measure::Work;
use crate::peers::{Class, Peer};

/// The part of the report that a case belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// A call, by class and threads.
    Calls,
    /// The same for more and more items.
    Sizes,
    /// Very many updates of few items.
    Endurance,
}

/// A measurement of several peers, which take turns.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Case {
    pub part: Part,
    pub work: Work,
    /// `None`: each peer in its weakest class.
    pub class: Option<Class>,
    pub processes: usize,
    /// Items of each process.
    pub items: usize,
    pub threads: usize,
    pub rounds: usize,
    pub millis: u64,
    pub calls: u64,
}

const NO_LIMIT: u64 = u64::MAX;

/// The threads of the hot update, each with a process.
const THREADS: [usize; 3] = [1, 16, 64];

/// The number of items above which one blob takes seconds per update.
const BLOB_ITEMS_MAX: usize = 10_000;

/// The number of items above which sled takes minutes to load.
const SLED_ITEMS_MAX: usize = 1_000_000;

/// The duration and number of measurements.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    pub rounds: usize,
    pub millis: u64,
    pub sizes: &'static [usize],
    pub endure_calls: u64,
    pub endure_millis: u64,
}

pub const QUICK: Effort =
    Effort { rounds: 2, millis: 60, sizes: &[100, 10_000], endure_calls: 50_000, endure_millis: 400 };

pub const FULL: Effort = Effort {
    rounds: 5,
    millis: 700,
    sizes: &[100, 10_000, 100_000, 1_000_000],
    endure_calls: 1_000_000,
    endure_millis: 20_000,
};

pub const GROWTH: Effort = Effort {
    rounds: 3,
    millis: 1_000,
    sizes: &[10_000, 100_000, 1_000_000, 10_000_000],
    endure_calls: 0,
    endure_millis: 0,
};

/// Returns all cases except the growth to very many items.
pub fn all(effort: Effort) -> Vec<Case> {
    let mut cases = calls(effort);
    cases.extend(sizes(effort));
    cases.push(Case {
        part: Part::Endurance,
        work: Work::Endure,
        class: None,
        processes: 1,
        items: 100,
        threads: 1,
        rounds: 1,
        millis: effort.endure_millis,
        calls: effort.endure_calls,
    });
    cases
}

fn calls(effort: Effort) -> Vec<Case> {
    let case = |work, class, threads| Case {
        part: Part::Calls,
        work,
        class,
        processes: 64,
        items: 100,
        threads,
        rounds: effort.rounds,
        millis: effort.millis,
        calls: NO_LIMIT,
    };
    let updates = Class::ALL
        .into_iter()
        .flat_map(|class| THREADS.map(|threads| case(Work::Update, Some(class), threads)));
    let commits = [Work::Register, Work::Handoff].map(|work| case(work, Some(Class::PowerLoss), 1));
    let scan = Case { processes: 1, items: 10_000, ..case(Work::Scan, None, 1) };
    updates.chain(commits).chain([scan]).collect()
}

/// Returns the cases that populate, update and open stores of increasing size.
pub fn sizes(effort: Effort) -> Vec<Case> {
    let of_size = |items| {
        let case = |work, rounds| Case {
            part: Part::Sizes,
            work,
            class: None,
            processes: 1,
            items,
            threads: 1,
            rounds,
            millis: effort.millis / 2,
            calls: NO_LIMIT,
        };
        [case(Work::Populate, 1), case(Work::Update, effort.rounds), case(Work::Open, effort.rounds.min(3))]
    };
    effort.sizes.iter().copied().flat_map(of_size).collect()
}

impl Case {
    /// Returns the entrants with their classes.
    pub fn entrants(&self, peers: &[Peer]) -> Vec<(Peer, Class)> {
        let with_class = peers.iter().map(|peer| (*peer, self.class.unwrap_or(peer.weakest_class())));
        with_class.filter(|(peer, class)| peer.is_in(*class) && self.concerns(*peer)).collect()
    }

    fn concerns(&self, peer: Peer) -> bool {
        let is_size = self.part == Part::Sizes;
        match peer {
            Peer::ProcstateInBackground => self.work == Work::Open,
            Peer::ProcstateUndecoded => self.work == Work::Scan,
            // It has no items, so neither many of them nor an index to open.
            Peer::Bare => !is_size && matches!(self.work, Work::Update | Work::Register | Work::Handoff),
            Peer::Blob => match self.work {
                Work::Update | Work::Populate => self.threads == 1 && self.items <= BLOB_ITEMS_MAX,
                work => matches!(work, Work::Scan | Work::Endure),
            },
            Peer::Sled => self.items <= SLED_ITEMS_MAX,
            _ => true,
        }
    }

    pub fn title(&self) -> String {
        let work = match self.work {
            Work::Populate => "Load",
            Work::Update => "Update",
            Work::Register => "Register an item",
            Work::Handoff => "Claim and hand back",
            Work::Scan => "Scan a process of 10,000 items",
            Work::Open => "Open after a kill",
            Work::Endure => "Continuous updates of 100 items",
        };
        let threads = match (self.work, self.threads) {
            (Work::Update, 1) => ", 1 thread".to_owned(),
            (Work::Update, threads) => format!(", {threads} threads"),
            _ => String::new(),
        };
        let class = self.class.map_or(String::new(), |class| format!(", {}", class.title()));
        format!("{work}{class}{threads}")
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn weaker_promises_are_not_in_the_class() {
        for case in all(FULL).iter().filter(|case| case.class == Some(Class::PowerLoss)) {
            let entrants = case.entrants(Peer::value_variants());
            assert!(!entrants.iter().any(|(peer, _)| matches!(peer, Peer::LmdbNosync | Peer::Blob)));
        }
    }

    #[test]
    fn procstate_is_in_every_case_and_no_peer_twice() {
        for case in all(FULL).iter().chain(&sizes(GROWTH)) {
            let peers: Vec<_> = case.entrants(Peer::value_variants()).iter().map(|(peer, _)| *peer).collect();
            assert!(peers.contains(&Peer::Procstate), "{}", case.title());
            let mut unique = peers.clone();
            unique.dedup();
            assert_eq!(unique, peers);
        }
    }

    #[test]
    fn each_size_is_loaded_before_it_is_used() {
        let mut loaded = 0;
        for case in sizes(FULL) {
            match case.work {
                Work::Populate => loaded = case.items,
                _ => assert_eq!(loaded, case.items),
            }
        }
    }
}
