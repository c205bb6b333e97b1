//! The state shared by claimers, and the events around them.

use std::time::Duration;

use jiff::Timestamp;

use super::Bounds;
use super::claimer::{Choice, Claimer};
use super::faults::Fault;
use super::values::Stored;
use crate::engine::{Batch, InProgram, Liveness, Outcome};
use crate::model::ownership::{self, Decision, Situation, Terms};
use crate::model::{List, item, time};
use crate::proto::Params;
use crate::proto::record::{Item, Owner, RunStatus, Settings};
use crate::record::{Key, Payload};
use crate::store::Versioned;

pub(super) const PROCESS: &str = "p";
pub(super) const PERIOD: Duration = Duration::from_secs(3600);
const TICK: u32 = 10;
const JUMP: i64 = 2 * 3600;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) store: Stored,
    pub(super) claimers: Vec<Claimer>,
    /// The number of this opening of the store.
    opening: u8,
    /// The monotonic clock of the program, in ticks.
    pub(super) mono: u8,
    /// The wall clock, in seconds.
    wall: i64,
    /// The last heartbeat of each claim of this opening; `None` once it has ended.
    signs: Vec<Option<u8>>,
    left: Left,
    pub(super) seen: Seen,
}

/// How often events may still happen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Left {
    claims: u8,
    ticks: u8,
    restarts: u8,
    jumps: u8,
    changes: u8,
}

/// The history needed by the properties.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Seen {
    /// The runs in which a claimer was told that the item is completed.
    pub(super) completed_in: Vec<u64>,
    pub(super) a_lost_owner_wrote: bool,
    pub(super) a_live_owner_was_replaced: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Action {
    Step(usize, Choice),
    Tick,
    /// The program dies and restarts.
    Restart,
    /// The wall clock is set ahead or back.
    Jump(i8),
    ChangeSettings,
}

impl World {
    pub(super) fn new(bounds: &Bounds) -> Self {
        let mut store = Stored::default();
        let frequency = bounds.is_hourly.then(|| time::period_to_wire(PERIOD)).flatten();
        let settings = Settings { schedule_frequency: frequency, ..Settings::default() };
        let owner = Owner { process_name: PROCESS.to_owned(), ..Owner::default() };
        let work = item::register(None, &Params::new(), None, start(), store.last_seq()).unwrap();
        store.commit(
            &Batch::new()
                .put(Key::owner(PROCESS), owner.to_payload())
                .put(Key::settings(PROCESS), settings.to_payload())
                .put(item_key(), work.to_payload()),
        );
        let &Bounds { claims, ticks, restarts, jumps, changes, .. } = bounds;
        Self {
            store,
            claimers: vec![Claimer::default(); bounds.claimers],
            opening: 0,
            mono: 0,
            wall: 0,
            signs: Vec::new(),
            left: Left { claims, ticks, restarts, jumps, changes },
            seen: Seen::default(),
        }
    }

    pub(super) fn actions(&self, bounds: &Bounds, actions: &mut Vec<Action>) {
        for (n, claimer) in self.claimers.iter().enumerate() {
            let choices = claimer.choices(bounds, self.left.claims > 0, self.mono);
            actions.extend(choices.into_iter().map(|choice| Action::Step(n, choice)));
        }
        let left = &self.left;
        let mut add = |times: u8, action| actions.extend((times > 0).then_some(action));
        add(left.ticks, Action::Tick);
        add(left.restarts, Action::Restart);
        add(left.jumps, Action::Jump(1));
        add(left.jumps, Action::Jump(-1));
        add(left.changes, Action::ChangeSettings);
    }

    pub(super) fn take(&mut self, bounds: &Bounds, action: Action) {
        match action {
            Action::Step(n, choice) => self.step(bounds, n, choice),
            Action::Tick => {
                self.left.ticks -= 1;
                self.pass(1);
            }
            Action::Restart => {
                self.left.restarts -= 1;
                self.opening += 1;
                self.mono = 0;
                self.signs.clear();
                self.claimers.fill(Claimer::default());
            }
            Action::Jump(by) => {
                self.left.jumps -= 1;
                self.wall += i64::from(by) * JUMP;
            }
            Action::ChangeSettings => {
                self.left.changes -= 1;
                let settings: Versioned<Settings> = self.store.get(&Key::settings(PROCESS));
                self.store.commit(&Batch::new().put(Key::settings(PROCESS), settings.value.to_payload()));
            }
        }
    }

    fn step(&mut self, bounds: &Bounds, n: usize, choice: Choice) {
        let mut claimer = std::mem::take(&mut self.claimers[n]);
        claimer.step(self, bounds, choice);
        while !bounds.is_fine && claimer.has_more_steps() {
            claimer.step(self, bounds, Choice::GoOn);
        }
        self.claimers[n] = claimer;
        // The identity of claimers does not matter.
        self.claimers.sort();
    }

    /// The wall clock only jumps: no schedule depends on the length of a tick.
    pub(super) fn pass(&mut self, ticks: u8) {
        self.mono += ticks;
    }

    pub(super) fn now(&self) -> Timestamp {
        start() + jiff::SignedDuration::from_secs(self.wall)
    }

    pub(super) fn opening(&self) -> String {
        self.opening.to_string()
    }

    /// Counts like [`Liveness::begin`].
    pub(super) fn next_claim(&mut self) -> u64 {
        self.signs.push(None);
        self.signs.len() as u64
    }

    pub(super) fn sign(&mut self, claim: u64) -> &mut Option<u8> {
        &mut self.signs[claim as usize - 1]
    }

    pub(super) fn begin_claim(&mut self) {
        self.left.claims -= 1;
    }

    pub(super) fn decide(
        &self,
        bounds: &Bounds,
        owner: &Versioned<Owner>,
        status: &Versioned<RunStatus>,
    ) -> Decision {
        let settings: Versioned<Settings> = self.store.get(&Key::settings(PROCESS));
        let now = if bounds.fault == Some(Fault::Immortal) { 0 } else { self.mono };
        ownership::decide(&Situation {
            now: self.now(),
            owner_lives_for: self.liveness(bounds).lives_for(&owner.value, None, duration(now)).unwrap(),
            status: status.present(),
            settings: &settings.value,
            settings_version: settings.version.unwrap_or_default(),
            terms: Terms::default(),
        })
        .unwrap()
    }

    /// Returns the heartbeats as the store keeps them.
    fn liveness(&self, bounds: &Bounds) -> InProgram {
        let liveness = InProgram::of(self.opening());
        for sign in &self.signs {
            let pulse = liveness.begin(duration(sign.unwrap_or_default()), duration(bounds.timeout)).unwrap();
            if sign.is_none() {
                liveness.end(pulse.claim);
            }
        }
        liveness
    }

    /// Commits a batch without its precondition on the key `without`.
    pub(super) fn commit(&mut self, batch: Batch, without: Option<&Key>) -> Result<u64, Key> {
        let mut batch = batch;
        batch.preconditions.retain(|precondition| Some(&precondition.key) != without);
        match self.store.commit(&batch) {
            Outcome::Committed(version) => Ok(version),
            Outcome::Failed(n) => Err(batch.preconditions[n].key.clone()),
        }
    }

    pub(super) fn owner_version(&self) -> Option<u64> {
        self.store.read(&Key::owner(PROCESS)).version
    }

    pub(super) fn item(&self) -> Item {
        self.store.get(&item_key()).value
    }
}

pub(super) fn item_key() -> Key {
    Key::item(PROCESS, List::Active, "w")
}

pub(super) fn duration(ticks: u8) -> Duration {
    TICK * Duration::from_secs(u64::from(ticks))
}

fn start() -> Timestamp {
    "2026-01-01T10:30:00Z".parse().unwrap()
}
