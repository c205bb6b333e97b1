//! The protocol of claims on etcd as a model, checked exhaustively: claimers in programs of
//! their own, whose clocks drift, whose answers are lost, and who are started again.
//!
//! As in [`claim_model`](super::claim_model), what a step does is asked of the code itself
//! wherever that is pure. The model's own are the leases, the clocks, the network, and the
//! slots by which a client whose answer was lost is told what became of its commit.

mod claimer;
mod faults;
mod properties;
mod transaction;
mod world;

use stateright::{Checker, HasDiscoveries, Model, Property};

use self::faults::Fault;
use self::world::{Action, World};

/// How long an owner counts itself as alive, in ticks of its own clock.
const TIMEOUT: u8 = 1;

/// How many ticks a clock may fall behind etcd's within a lease; the lease is that much
/// longer than the timeout.
const MARGIN: u8 = 1;

/// What may happen, and how often.
#[derive(Debug, Clone)]
struct Bounds {
    claimers: usize,
    /// Claims over all, also those that are not won.
    claims: u8,
    ticks: u8,
    /// Ticks that a claimer's clock misses.
    slow_ticks: u8,
    losses: u8,
    restarts: u8,
    /// Writes of a claim beside its last.
    writes: u8,
    /// A claimer may stall between any two steps, and not only where it is to commit.
    is_fine: bool,
    fault: Option<Fault>,
}

/// Two claimers, who may stall anywhere, on clocks that drift; an answer is lost.
const TWO: Bounds = Bounds {
    claimers: 2,
    claims: 2,
    ticks: 2,
    slow_ticks: MARGIN,
    losses: 1,
    restarts: 0,
    writes: 1,
    is_fine: true,
    fault: None,
};

const THREE: Bounds = Bounds { claimers: 3, claims: 3, losses: 0, slow_ticks: 0, is_fine: false, ..TWO };

/// What a program had under way when it died may arrive yet.
const RESTARTED: Bounds = Bounds { claimers: 2, claims: 2, restarts: 1, ..THREE };

impl Bounds {
    /// With `PROCSTATE_MODEL` ticks more: owners lapse and come back more often.
    fn or_longer(mut self) -> Self {
        let more = std::env::var("PROCSTATE_MODEL").ok().and_then(|more| more.parse::<u8>().ok());
        self.ticks += more.unwrap_or(0);
        self
    }

    fn lease(&self) -> u8 {
        TIMEOUT + MARGIN
    }

    /// How long an owner counts itself as alive.
    fn timeout(&self) -> u8 {
        if self.fault == Some(Fault::NoMargin) { self.lease() } else { TIMEOUT }
    }
}

impl Model for Bounds {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        world.actions(self, actions);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        next.take(self, action);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(self)
    }
}

fn check(bounds: Bounds) {
    let checker = bounds.or_longer().checker().threads(2).spawn_bfs().join();
    println!("{} states, {} steps deep", checker.unique_state_count(), checker.max_depth());
    checker.assert_properties();
}

/// With the fault the checker finds that `property` does not hold.
fn assert_found(fault: Fault, property: &'static str) {
    let bounds = Bounds { fault: Some(fault), ..TWO };
    let wanted = HasDiscoveries::AnyOf([property].into());
    let checker = bounds.checker().threads(2).finish_when(wanted).spawn_bfs().join();
    let path = checker.discovery(property);
    let path = path.unwrap_or_else(|| panic!("with {fault:?} nothing was found against {property:?}"));
    println!("{fault:?}: {:?}", path.into_actions());
}

#[test]
fn two_claimers_with_answers_lost() {
    check(TWO);
}

#[test]
fn three_claimers() {
    check(THREE);
}

#[test]
fn programs_that_are_started_again() {
    check(RESTARTED);
}

#[test]
fn without_the_fence_a_lost_owner_writes() {
    assert_found(Fault::NoFence, properties::ONLY_THE_OWNER_WRITES);
}

#[test]
fn without_the_margin_a_slow_clock_makes_two_owners() {
    assert_found(Fault::NoMargin, properties::ONE_OWNER);
}

#[test]
fn a_run_that_counts_from_the_answers_is_replaced_before_it_knows() {
    assert_found(Fault::LateDeadline, properties::LAPSES_FIRST);
}

/// A lapsed owner that writes is there again: what it wrote is read before its lease.
#[test]
fn who_asks_for_the_lease_first_replaces_an_owner_that_came_back() {
    assert_found(Fault::LeaseFirst, properties::LAPSES_FIRST);
}

#[test]
fn without_the_compare_of_the_status_an_owner_that_came_back_is_replaced() {
    assert_found(Fault::StaleStatus, properties::LAPSES_FIRST);
}

#[test]
fn without_the_lease_a_live_owner_is_replaced() {
    assert_found(Fault::NoLease, properties::LAPSES_FIRST);
}

#[test]
fn a_commit_tried_again_without_its_slot_lands_twice() {
    assert_found(Fault::BlindRetry, properties::ONCE);
}

#[test]
fn a_commit_tried_again_without_its_slot_is_told_to_be_refused() {
    assert_found(Fault::BlindRetry, properties::TOLD_TRULY);
}

#[test]
fn a_commit_given_up_may_have_landed() {
    assert_found(Fault::NoRetry, properties::TOLD_TRULY);
}

#[test]
fn an_owner_that_counts_as_alive_for_ever_locks_the_process() {
    assert_found(Fault::Immortal, properties::THE_DEAD_ARE_REPLACED);
}
