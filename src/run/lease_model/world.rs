//! etcd, its network, and the events around the claimers.

use std::time::Duration;

use jiff::Timestamp;

use super::Bounds;
use super::claimer::{Choice, Claimer};
use super::faults::Fault;
use super::transaction::{Answer, Flight};
use crate::engine::Batch;
use crate::model::ownership::{self, Decision, Situation, Terms};
use crate::proto::record::{Owner, RunStatus, Settings};
use crate::record::{Key, Payload};
use crate::run::claim_model::values::Stored;
use crate::store::Versioned;

pub(super) const PROCESS: &str = "p";

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) store: Stored,
    pub(super) claimers: Vec<Claimer>,
    /// etcd's clock, in ticks.
    pub(super) now: u8,
    /// When each lease ends.
    leases: Vec<u8>,
    /// Transactions whose clients no longer wait.
    pub(super) strays: Vec<Flight>,
    slots: u8,
    pub(super) left: Left,
    pub(super) seen: Seen,
}

/// How often events may still happen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Left {
    pub(super) claims: u8,
    ticks: u8,
    /// Answers that are lost.
    pub(super) losses: u8,
    restarts: u8,
}

/// The history needed by the properties.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Seen {
    pub(super) a_lost_owner_wrote: bool,
    pub(super) a_live_owner_was_replaced: bool,
    pub(super) a_write_landed_twice: bool,
    pub(super) a_refused_write_landed: bool,
    pub(super) an_accepted_write_is_not_there: bool,
    pub(super) a_doubt_was_landed: bool,
    pub(super) a_doubt_was_not_landed: bool,
    pub(super) a_silent_owner_was_replaced: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Action {
    Step(usize, Choice),
    Tick,
    /// A tick that this claimer's clock misses.
    SlowTick(usize),
    /// The program of a claimer dies and restarts.
    Restart(usize),
    /// A transaction arrives whose client no longer waits.
    Stray(usize),
}

impl World {
    pub(super) fn new(bounds: &Bounds) -> Self {
        let mut store = Stored::default();
        let owner = Owner { process_name: PROCESS.to_owned(), ..Owner::default() };
        store.commit(
            &Batch::new()
                .put(Key::owner(PROCESS), owner.to_payload())
                .put(Key::settings(PROCESS), Settings::default().to_payload()),
        );
        let &Bounds { claims, ticks, losses, restarts, slow_ticks, .. } = bounds;
        let count = bounds.claimers as u8;
        Self {
            store,
            claimers: (0..count).map(|slot| Claimer::new(slot, slow_ticks)).collect(),
            now: 0,
            leases: Vec::new(),
            strays: Vec::new(),
            slots: count,
            left: Left { claims, ticks, losses, restarts },
            seen: Seen::default(),
        }
    }

    pub(super) fn actions(&self, bounds: &Bounds, actions: &mut Vec<Action>) {
        for (n, claimer) in self.claimers.iter().enumerate() {
            let choices = claimer.choices(bounds, self);
            actions.extend(choices.into_iter().map(|choice| Action::Step(n, choice)));
            actions.extend((self.left.restarts > 0).then_some(Action::Restart(n)));
            let is_slow = self.left.ticks > 0 && claimer.slow_ticks_left > 0 && claimer.run.is_some();
            actions.extend(is_slow.then_some(Action::SlowTick(n)));
        }
        actions.extend((self.left.ticks > 0).then_some(Action::Tick));
        actions.extend((0..self.strays.len()).map(Action::Stray));
    }

    pub(super) fn take(&mut self, bounds: &Bounds, action: Action) {
        match action {
            Action::Step(n, choice) => {
                let mut claimer = self.claimers[n].clone();
                claimer.step(self, bounds, choice);
                while !bounds.is_fine && claimer.has_more_steps() {
                    claimer.step(self, bounds, Choice::GoOn);
                }
                self.claimers[n] = claimer;
            }
            Action::Tick => self.tick(),
            Action::SlowTick(n) => {
                self.tick();
                let claimer = &mut self.claimers[n];
                claimer.slow_ticks_left -= 1;
                claimer.lag += 1;
            }
            Action::Restart(n) => {
                self.left.restarts -= 1;
                let flight = self.claimers[n].flight().cloned();
                self.strays.extend(flight.filter(|flight| !flight.has_landed));
                self.claimers[n] = Claimer::new(self.slots, self.claimers[n].slow_ticks_left);
                self.slots += 1;
            }
            Action::Stray(n) => {
                let mut flight = self.strays.remove(n);
                self.land(bounds, &mut flight);
            }
        }
        self.strays.sort();
    }

    fn tick(&mut self) {
        self.left.ticks -= 1;
        self.now += 1;
    }

    pub(super) fn wall(&self) -> Timestamp {
        "2026-01-01T10:30:00Z".parse().unwrap()
    }

    /// Grants a lease; returns its number.
    pub(super) fn grant(&mut self, bounds: &Bounds) -> u64 {
        self.leases.push(self.now + bounds.lease());
        self.leases.len() as u64
    }

    /// Renews a lease. One that has ended is alive again.
    pub(super) fn renew(&mut self, bounds: &Bounds, lease: u64) {
        self.leases[lease as usize - 1] = self.now + bounds.lease();
    }

    pub(super) fn revoke(&mut self, lease: u64) {
        self.leases[lease as usize - 1] = 0;
    }

    pub(super) fn owner_lives(&self, bounds: &Bounds, owner: &Owner) -> bool {
        let Some(end) = owner.claim.checked_sub(1).map(|at| self.leases[at as usize]) else { return false };
        match bounds.fault {
            Some(Fault::Immortal) => true,
            Some(Fault::NoLease) => false,
            _ => end > self.now,
        }
    }

    pub(super) fn decide(&self, lives: bool, status: &Versioned<RunStatus>) -> Decision {
        let settings: Versioned<Settings> = self.store.get(&Key::settings(PROCESS));
        ownership::decide(&Situation {
            now: self.wall(),
            owner_lives_for: lives.then_some(Duration::from_secs(1)),
            status: status.present(),
            settings: &settings.value,
            settings_version: settings.version.unwrap_or_default(),
            terms: Terms::default(),
        })
        .unwrap()
    }

    /// Delivers a transaction to etcd, and records its effect on others.
    pub(super) fn land(&mut self, bounds: &Bounds, flight: &mut Flight) -> Answer {
        let owner = self.owner_version();
        let lives = self.owner_lives(bounds, &self.store.get::<Owner>(&Key::owner(PROCESS)).value);
        let answer = flight.transaction.apply(&mut self.store, bounds.fault);
        if let Answer::Committed(_) = answer {
            let token = flight.transaction.token;
            self.seen.a_lost_owner_wrote |= token.is_some() && token != owner;
            self.seen.a_write_landed_twice |= flight.has_landed;
            self.seen.a_refused_write_landed |= flight.was_refused;
            if token.is_none() {
                let is_sure = |claimer: &Claimer| claimer.is_sure(bounds, self.now);
                self.seen.a_live_owner_was_replaced |= self.claimers.iter().any(is_sure);
                self.seen.a_silent_owner_was_replaced |= lives;
            }
            flight.has_landed = true;
            self.each_copy(flight, |copy| copy.has_landed = true);
        }
        answer
    }

    /// Records that the client considers it refused.
    pub(super) fn refuse(&mut self, flight: &Flight) {
        self.seen.a_refused_write_landed |= flight.has_landed;
        self.each_copy(flight, |copy| copy.was_refused = true);
    }

    fn each_copy(&mut self, flight: &Flight, change: fn(&mut Flight)) {
        let waiting = self.claimers.iter_mut().filter_map(Claimer::flight_mut);
        let copies = self.strays.iter_mut().chain(waiting);
        copies.filter(|copy| copy.transaction == flight.transaction).for_each(change);
    }

    pub(super) fn owner_version(&self) -> Option<u64> {
        self.store.read(&Key::owner(PROCESS)).version
    }

    /// Returns the state once every lease that is not renewed has ended.
    pub(super) fn later(&self, bounds: &Bounds) -> Self {
        let mut later = self.clone();
        later.now += bounds.lease();
        later
    }
}
