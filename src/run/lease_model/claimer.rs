//! A claimer in a program of its own with its own clock.

use super::Bounds;
use super::faults::Fault;
use super::transaction::{Answer, Flight, Transaction, slot_key};
use super::world::{PROCESS, World};
use crate::engine::{Batch, Expect};
use crate::model::ownership::Decision;
use crate::model::{run, time};
use crate::proto::record::{Owner, RunStatus};
use crate::record::{Key, Payload};
use crate::run::claim::swap;
use crate::run::claim_model::values::{Message, Read};
use crate::run::ending::gone;
use crate::run::fenced::fenced;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Claimer {
    phase: Phase,
    pub(super) run: Option<Run>,
    /// The key where etcd records the outcome of its commits.
    slot: u8,
    /// How far its clock lags behind etcd's.
    pub(super) lag: u8,
    pub(super) slow_ticks_left: u8,
    /// The status version that it saw last, and when it first saw it.
    seen: Option<(Option<u64>, u8)>,
}

/// The step at which a claimer is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
enum Phase {
    /// It may claim; or it may continue its run.
    #[default]
    Free,
    /// It has read the owner, and is about to query the owner's lease.
    Read(Read, Read),
    /// It has queried the lease first, which is a fault.
    AskedFirst(bool),
    /// The lease was renewed, and the write is about to be sent.
    Renewed { sent: u8 },
    /// A transaction is on its way to etcd.
    Committing(Purpose, Flight),
    /// The answer was lost.
    InDoubt(Purpose, Flight),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Purpose {
    Claim {
        lease: u64,
        sent: u8,
        run: Message,
    },
    Progress {
        sent: u8,
    },
    /// Finishes the run, or hands it back.
    End,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Run {
    /// The fencing token.
    pub(super) token: u64,
    lease: u64,
    /// When its last accepted write was sent, on its own clock.
    sent: u8,
    /// When the last successful renewal of its lease was requested, on its own clock.
    renewed: u8,
    status: Message,
    writes_left: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Choice {
    Claim,
    /// Renews the lease, and writes.
    Progress,
    /// Writes although the lease could not be renewed.
    ProgressOnly,
    Finish,
    HandBack,
    /// Stops writing, like a runner whose run has lapsed.
    Leave,
    /// The transaction in flight arrives, and so does the answer.
    Answer,
    /// It arrives, but the answer is lost.
    LoseAnswer,
    /// The client stops waiting for it, and it may still arrive.
    GiveUp,
    Settle,
    GoOn,
}

impl Claimer {
    pub(super) fn new(slot: u8, slow_ticks_left: u8) -> Self {
        Self { phase: Phase::Free, run: None, slot, lag: 0, slow_ticks_left, seen: None }
    }

    pub(super) fn choices(&self, bounds: &Bounds, world: &World) -> Vec<Choice> {
        match (&self.phase, &self.run) {
            (Phase::Free, None) => (world.left.claims > 0).then_some(Choice::Claim).into_iter().collect(),
            (Phase::Free, Some(run)) => {
                let writes = (run.writes_left > 0).then_some([Choice::Progress, Choice::ProgressOnly]);
                let leave = (!self.is_sure(bounds, world.now)).then_some(Choice::Leave);
                writes.into_iter().flatten().chain([Choice::Finish, Choice::HandBack]).chain(leave).collect()
            }
            (Phase::Committing(..), _) if world.left.losses > 0 => {
                vec![Choice::Answer, Choice::LoseAnswer, Choice::GiveUp]
            }
            (Phase::Committing(..), _) => vec![Choice::Answer],
            (Phase::InDoubt(..), _) => vec![Choice::Settle],
            (Phase::Read(..) | Phase::AskedFirst(_) | Phase::Renewed { .. }, _) => vec![Choice::GoOn],
        }
    }

    /// Reports whether it has not reached the commit that it has read for.
    pub(super) fn has_more_steps(&self) -> bool {
        matches!(self.phase, Phase::Read(..) | Phase::AskedFirst(_) | Phase::Renewed { .. })
    }

    /// Reports whether it believes itself the owner, on its own clock.
    pub(super) fn is_sure(&self, bounds: &Bounds, now: u8) -> bool {
        let is_ending =
            matches!(self.phase, Phase::InDoubt(Purpose::End, _) | Phase::Committing(Purpose::End, _));
        let since = |run: &Run| run.sent.min(run.renewed);
        let is_alive = |run: &Run| now.saturating_sub(self.lag) < since(run) + bounds.timeout();
        !is_ending && self.run.as_ref().is_some_and(is_alive)
    }

    /// Reports whether it has a write in flight although there is another owner.
    pub(super) fn is_fenced_off(&self, world: &World) -> bool {
        self.flight().is_some()
            && self.run.as_ref().is_some_and(|run| Some(run.token) != world.owner_version())
    }

    pub(super) fn flight(&self) -> Option<&Flight> {
        match &self.phase {
            Phase::Committing(_, flight) | Phase::InDoubt(_, flight) => Some(flight),
            _ => None,
        }
    }

    pub(super) fn flight_mut(&mut self) -> Option<&mut Flight> {
        match &mut self.phase {
            Phase::Committing(_, flight) | Phase::InDoubt(_, flight) => Some(flight),
            _ => None,
        }
    }

    fn clock(&self, world: &World) -> u8 {
        world.now - self.lag
    }

    pub(super) fn step(&mut self, world: &mut World, bounds: &Bounds, choice: Choice) {
        self.phase = match (std::mem::take(&mut self.phase), choice) {
            (Phase::Free, Choice::Claim) => self.begin_claim(world, bounds),
            (Phase::Free, choice) => self.use_run(world, bounds, choice),
            (Phase::Committing(purpose, mut flight), Choice::GiveUp) => {
                world.left.losses -= 1;
                world.strays.push(flight.clone());
                self.doubt(world, bounds, purpose, &mut flight)
            }
            (Phase::Committing(purpose, mut flight), Choice::LoseAnswer) => {
                world.left.losses -= 1;
                world.land(bounds, &mut flight);
                self.doubt(world, bounds, purpose, &mut flight)
            }
            (Phase::Committing(purpose, mut flight), _) => {
                let answer = world.land(bounds, &mut flight);
                self.on_answer(world, bounds, purpose, &flight, answer)
            }
            // Repeats the transaction, whose slot tells whether it was applied.
            (Phase::InDoubt(purpose, mut flight), _) => {
                let answer = world.land(bounds, &mut flight);
                world.seen.a_doubt_was_landed |= matches!(answer, Answer::Landed(_));
                world.seen.a_doubt_was_not_landed |= matches!(answer, Answer::Committed(_));
                self.on_answer(world, bounds, purpose, &flight, answer)
            }
            (Phase::Read(owner, status), _) => {
                let lives = world.owner_lives(bounds, &owner.message().value)
                    && self.silence(world) < bounds.silence();
                self.claim(world, bounds, (owner, status), lives)
            }
            (Phase::AskedFirst(lives), _) => {
                let (owner, status) = read(world);
                self.claim(world, bounds, (owner, status), lives)
            }
            (Phase::Renewed { sent }, _) => self.progress(world, bounds, sent),
        }
    }

    /// Returns for how long it has seen no write of the owner, on its own clock.
    fn silence(&self, world: &World) -> u8 {
        self.seen.map_or(0, |(_, since)| self.clock(world) - since)
    }

    fn note_status(&mut self, world: &World, bounds: &Bounds, status: &Read) {
        let version = status.version;
        let is_heeded = bounds.fault != Some(Fault::DeafWaiter);
        if bounds.waits && self.seen.is_none_or(|(seen, _)| seen != version && is_heeded) {
            self.seen = Some((version, self.clock(world)));
        }
    }

    fn begin_claim(&mut self, world: &mut World, bounds: &Bounds) -> Phase {
        world.left.claims -= 1;
        let (owner, status) = read(world);
        if bounds.fault == Some(Fault::LeaseFirst) {
            return Phase::AskedFirst(world.owner_lives(bounds, &owner.message().value));
        }
        self.note_status(world, bounds, &status);
        Phase::Read(owner, status)
    }

    fn progress(&self, world: &World, bounds: &Bounds, sent: u8) -> Phase {
        let Some(run) = &self.run else { return Phase::Free };
        self.send(world, bounds, Purpose::Progress { sent }, run.batch(world))
    }

    fn doubt(&mut self, world: &mut World, bounds: &Bounds, purpose: Purpose, flight: &mut Flight) -> Phase {
        if bounds.fault == Some(Fault::NoRetry) {
            return self.on_answer(world, bounds, purpose, flight, Answer::Refused);
        }
        Phase::InDoubt(purpose, flight.clone())
    }

    fn claim(&self, world: &mut World, bounds: &Bounds, read: (Read, Read), lives: bool) -> Phase {
        let (owner, status) = (read.0.message(), read.1.message());
        let resumes = match world.decide(lives, &status) {
            Decision::Held { .. } | Decision::NotDue { .. } => return Phase::Free,
            decision => decision == Decision::Resume,
        };
        let (number, wall) = (world.store.last_seq() + 1, world.wall());
        let run = if resumes {
            run::resume(status.value.clone(), number, wall)
        } else {
            run::begin(number, &status.value, false, wall)
        };
        let sent = self.clock(world);
        let lease = world.grant(bounds);
        let next = Owner {
            process_name: PROCESS.to_owned(),
            instance: "i".to_owned(),
            claimed: Some(time::to_wire(wall)),
            opening: self.slot.to_string(),
            claim: lease,
            ..Owner::default()
        };
        let batch = swap(PROCESS, (&owner, &next), (&status, &run));
        let purpose = Purpose::Claim { lease, sent, run: Message::of(&run) };
        self.send(world, bounds, purpose, batch)
    }

    fn send(&self, world: &World, bounds: &Bounds, purpose: Purpose, batch: Batch) -> Phase {
        let slot = (self.slot, world.store.read(&slot_key(self.slot)).version);
        let token = self.run.as_ref().map(|run| run.token);
        let transaction = Transaction::new(batch, token, slot, bounds.fault);
        Phase::Committing(purpose, Flight { transaction, has_landed: false, was_refused: false })
    }

    fn use_run(&mut self, world: &mut World, bounds: &Bounds, choice: Choice) -> Phase {
        let sent = self.clock(world);
        let Some(run) = &mut self.run else { return Phase::Free };
        run.writes_left = run.writes_left.saturating_sub(1);
        match choice {
            Choice::Progress => {
                world.renew(bounds, run.lease);
                run.renewed = run.renewed.max(sent);
                Phase::Renewed { sent }
            }
            Choice::ProgressOnly => self.progress(world, bounds, sent),
            Choice::Finish => {
                let mut status: RunStatus = run.status.read();
                let end = run::final_state(&status);
                run::finish(status.status.get_or_insert_default(), end, world.wall());
                run.status = Message::of(&status);
                let batch = run.batch(world);
                self.send(world, bounds, Purpose::End, batch)
            }
            Choice::HandBack => {
                let owner = world.store.get::<Owner>(&Key::owner(PROCESS)).value;
                let batch = run.batch(world).put(Key::owner(PROCESS), gone(owner).to_payload());
                self.send(world, bounds, Purpose::End, batch)
            }
            // It has lapsed, and knows that.
            _ => self.leave(),
        }
    }

    fn leave(&mut self) -> Phase {
        self.run = None;
        Phase::Free
    }

    fn on_answer(
        &mut self,
        world: &mut World,
        bounds: &Bounds,
        purpose: Purpose,
        flight: &Flight,
        answer: Answer,
    ) -> Phase {
        let version = match answer {
            Answer::Committed(version) | Answer::Landed(version) => version,
            Answer::Refused => {
                world.refuse(flight);
                if let Purpose::Claim { lease, .. } = purpose {
                    world.revoke(lease);
                }
                return self.leave();
            }
        };
        world.seen.an_accepted_write_is_not_there |= !flight.has_landed;
        let now = self.clock(world);
        let counted = |sent| if bounds.fault == Some(Fault::LateDeadline) { now } else { sent };
        match purpose {
            Purpose::Claim { lease, sent, run: status } => {
                let sent = counted(sent);
                self.run = Some(Run {
                    token: version,
                    lease,
                    sent,
                    renewed: sent,
                    status,
                    writes_left: bounds.writes,
                });
            }
            Purpose::Progress { sent } => {
                if let Some(run) = &mut self.run {
                    run.sent = counted(sent);
                    run.renewed = if run.renewed == sent { counted(sent) } else { run.renewed };
                }
            }
            Purpose::End => {
                if let Some(run) = self.run.take() {
                    world.revoke(run.lease);
                }
            }
        }
        Phase::Free
    }
}

fn read(world: &World) -> (Read, Read) {
    (world.store.read(&Key::owner(PROCESS)), world.store.read(&Key::status(PROCESS)))
}

impl Run {
    pub(super) fn is_resumed(&self) -> bool {
        self.status.read::<RunStatus>().run < self.token
    }

    fn batch(&self, world: &World) -> Batch {
        let (owner, settings) = (Key::owner(PROCESS), Key::settings(PROCESS));
        let settings = (&settings, Expect::unchanged(world.store.read(&settings).version));
        fenced(Batch::new(), (&owner, self.token), settings)
            .put(Key::status(PROCESS), self.status.read::<RunStatus>().to_payload())
    }
}
