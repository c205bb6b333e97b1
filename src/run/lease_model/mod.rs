//! A model of the claim protocol on etcd, checked exhaustively: claimers in separate programs whose
//! clocks drift, whose answers get lost, and which restart.
//!
//! As in [`claim_model`](super::claim_model), steps call the real code wherever it is pure. The
//! leases, the clocks, the network, and the slots that tell a client the outcome of a commit with a
//! lost answer belong to the model.

mod claimer;
mod faults;
mod properties;
mod transaction;
mod world;

use stateright::{Checker, HasDiscoveries, Model, Property};

use self::faults::Fault;
use self::world::{Action, World};

/// How long an owner counts itself alive, in ticks of its own clock.
const TIMEOUT: u8 = 1;

/// How many ticks a clock may lag behind etcd's within a lease, which is that much longer than the
/// timeout.
const MARGIN: u8 = 1;

/// The events that may happen, and how often.
#[derive(Debug, Clone)]
struct Bounds {
    claimers: usize,
    /// Claims in total, including unsuccessful ones.
    claims: u8,
    ticks: u8,
    /// Ticks that a claimer's clock may miss.
    slow_ticks: u8,
    losses: u8,
    restarts: u8,
    /// Writes of a claim besides its last.
    writes: u8,
    /// Whether a claimer may stall between any two steps, not only before commits.
    is_fine: bool,
    /// Whether a claimer measures how long an owner has not written.
    waits: bool,
    fault: Option<Fault>,
}

/// Two claimers that may stall anywhere, with drifting clocks and a lost answer.
const TWO: Bounds = Bounds {
    claimers: 2,
    claims: 2,
    ticks: 2,
    slow_ticks: MARGIN,
    losses: 1,
    restarts: 0,
    writes: 1,
    is_fine: true,
    waits: false,
    fault: None,
};

const THREE: Bounds = Bounds { claimers: 3, claims: 3, losses: 0, slow_ticks: 0, is_fine: false, ..TWO };

/// Transactions in flight when a program died may still arrive.
const RESTARTED: Bounds = Bounds { claimers: 2, claims: 2, restarts: 1, ..THREE };

/// There is time to find an owner silent, before and after its lease ends.
const WAITING: Bounds = Bounds { claims: 3, losses: 0, is_fine: false, waits: true, ..TWO };

impl Bounds {
    /// Adds `PROCSTATE_MODEL` ticks, so that owners lapse and return more often.
    fn or_longer(mut self) -> Self {
        let more = std::env::var("PROCSTATE_MODEL").ok().and_then(|more| more.parse::<u8>().ok());
        self.ticks += more.unwrap_or(0);
        self
    }

    fn lease(&self) -> u8 {
        TIMEOUT + MARGIN
    }

    /// Returns how long a waiting claimer lets an owner be silent.
    fn silence(&self) -> u8 {
        if self.fault == Some(Fault::HastyWaiter) { TIMEOUT } else { TIMEOUT + MARGIN }
    }

    /// Returns how long an owner counts itself alive.
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

/// Checks that with the fault the checker finds a violation of `property`.
fn assert_found(fault: Fault, property: &'static str) {
    assert_found_in(TWO, fault, property);
}

fn assert_found_in(bounds: Bounds, fault: Fault, property: &'static str) {
    let bounds = Bounds { fault: Some(fault), ..bounds };
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
fn a_claimer_waiting_for_a_silent_owner() {
    check(WAITING);
}

#[test]
fn restarted_programs() {
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

/// A lapsed owner that writes is back: its write must be read before its lease.
#[test]
fn querying_the_lease_first_replaces_a_returned_owner() {
    assert_found(Fault::LeaseFirst, properties::LAPSES_FIRST);
}

#[test]
fn without_the_compare_of_the_status_a_returned_owner_is_replaced() {
    assert_found(Fault::StaleStatus, properties::LAPSES_FIRST);
}

#[test]
fn without_the_lease_a_live_owner_is_replaced() {
    assert_found(Fault::NoLease, properties::LAPSES_FIRST);
}

#[test]
fn a_claimer_that_allows_only_the_timeout_replaces_a_live_owner_with_a_slow_clock() {
    assert_found_in(WAITING, Fault::HastyWaiter, properties::LAPSES_FIRST);
}

#[test]
fn a_claimer_that_ignores_writes_replaces_a_live_owner() {
    assert_found_in(WAITING, Fault::DeafWaiter, properties::LAPSES_FIRST);
}

#[test]
fn a_commit_retried_without_its_slot_is_applied_twice() {
    assert_found(Fault::BlindRetry, properties::ONCE);
}

#[test]
fn a_commit_retried_without_its_slot_is_reported_as_refused() {
    assert_found(Fault::BlindRetry, properties::TOLD_TRULY);
}

#[test]
fn an_abandoned_commit_may_have_been_applied() {
    assert_found(Fault::NoRetry, properties::TOLD_TRULY);
}

#[test]
fn an_immortal_owner_locks_the_process() {
    assert_found(Fault::Immortal, properties::THE_DEAD_ARE_REPLACED);
}
