//! A model of the claim protocol, checked exhaustively: every order of steps of claimers that
//! compete for one process, with a stall between any two of them, and with the clock, restarts of
//! the program and operators in between.
//!
//! Steps call the real code wherever it is pure: the rules of `model`, the batches of claims and
//! fenced writes, the records and their commits, the heartbeats. Only the order of the steps and
//! the stalls belong to the model.

mod claimer;
mod faults;
mod properties;
pub(super) mod values;
mod world;

use stateright::{Checker, HasDiscoveries, Model, Property};

use self::faults::Fault;
use self::world::{Action, World};

/// The events that may happen, and how often.
#[derive(Debug, Clone)]
struct Bounds {
    claimers: usize,
    /// Claims in total, including unsuccessful ones.
    claims: u8,
    /// Writes of a claim besides its last.
    writes: u8,
    ticks: u8,
    /// In ticks.
    timeout: u8,
    restarts: u8,
    /// Jumps of the wall clock by an hour or more.
    jumps: u8,
    /// Changes of the settings.
    changes: u8,
    /// Whether the process has a schedule, so that runs are not always due.
    is_hourly: bool,
    /// Whether a claimer may stall between any two steps, not only between reads and a write.
    is_fine: bool,
    fault: Option<Fault>,
}

/// Two claimers that may stall anywhere.
const TWO: Bounds = Bounds {
    claimers: 2,
    claims: 2,
    writes: 2,
    ticks: 1,
    timeout: 1,
    restarts: 0,
    jumps: 0,
    changes: 0,
    is_hourly: false,
    is_fine: true,
    fault: None,
};

const THREE: Bounds = Bounds { claimers: 3, claims: 3, writes: 1, is_fine: false, ..TWO };

/// Runs are due by schedule, and the wall clock jumps.
const SCHEDULED: Bounds = Bounds { jumps: 1, writes: 1, is_hourly: true, is_fine: false, ..TWO };

/// The program restarts, and operators change settings.
const DISTURBED: Bounds = Bounds { restarts: 1, changes: 1, writes: 1, is_fine: false, ..TWO };

impl Bounds {
    /// Adds `PROCSTATE_MODEL` ticks, so that owners lapse and return more often.
    fn or_longer(mut self) -> Self {
        let more = std::env::var("PROCSTATE_MODEL").ok().and_then(|more| more.parse::<u8>().ok());
        self.ticks += more.unwrap_or(0);
        self
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
    for bounds in [TWO, THREE] {
        let bounds = Bounds { fault: Some(fault), ..bounds };
        let checker = bounds
            .checker()
            .threads(2)
            .finish_when(HasDiscoveries::AnyOf([property].into()))
            .spawn_bfs()
            .join();
        if let Some(path) = checker.discovery(property) {
            println!("{fault:?}: {:?}", path.into_actions());
            return;
        }
    }
    panic!("with {fault:?} nothing was found against {property:?}");
}

#[test]
fn two_claimers_that_stall_anywhere() {
    check(TWO);
}

#[test]
fn three_claimers() {
    check(THREE);
}

#[test]
fn a_schedule_with_a_jumping_wall_clock() {
    check(SCHEDULED);
}

#[test]
fn with_restarts_and_operators() {
    check(DISTURBED);
}

#[test]
fn without_the_fence_a_lost_owner_writes() {
    assert_found(Fault::NoFence, properties::ONLY_THE_OWNER_WRITES);
}

#[test]
fn without_the_compare_of_the_owner_two_win() {
    assert_found(Fault::BlindSwap, properties::ONE_OWNER);
}

#[test]
fn without_the_compare_of_the_status_a_live_owner_is_replaced() {
    assert_found(Fault::StaleStatus, properties::LAPSES_FIRST);
}

#[test]
fn without_the_margin_an_owner_is_replaced_before_it_knows() {
    assert_found(Fault::LateDeadline, properties::LAPSES_FIRST);
}

#[test]
fn a_heartbeat_after_the_claim_is_too_late() {
    assert_found(Fault::LatePulse, properties::LAPSES_FIRST);
}

/// Found by this model: a lapsed run wrote, a claimer saw the write but not the heartbeat, and took
/// over from a run that considered itself alive.
#[test]
fn a_heartbeat_after_the_write_is_too_late() {
    assert_found(Fault::LateSign, properties::LAPSES_FIRST);
}

#[test]
fn an_immortal_owner_locks_the_process() {
    assert_found(Fault::Immortal, properties::THE_DEAD_ARE_REPLACED);
}
