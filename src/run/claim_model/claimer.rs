//! One claimer, step by step: `ProcessHandle::claim_as`, and the writes of its `Run`.

use super::Bounds;
use super::faults::Fault;
use super::values::{Message, Read};
use super::world::{PROCESS, World, duration, item_key};
use crate::engine::{Batch, Expect};
use crate::model::ownership::{self, Decision};
use crate::model::{item, run, stats, time};
use crate::proto::State;
use crate::proto::record::{Item, Owner, RunStatus};
use crate::record::{Key, Payload};
use crate::run::claim::swap;
use crate::run::ending::gone;
use crate::run::fenced::fenced;

#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Claimer {
    phase: Phase,
    pub(super) run: Option<Run>,
}

/// The step at which a claimer is.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Phase {
    /// It may claim; or it may continue its run.
    #[default]
    Free,
    OwnerRead(Read),
    StatusRead(Read, Read),
    Decided {
        owner: Read,
        status: Read,
        resumes: bool,
    },
    /// The claim is about to be committed.
    Swapping(Swap),
    /// It has read the owner, to hand the process back.
    HandingBack(Read),
    /// A write of the run began at `sent`, and its heartbeat is about to be published.
    Sending {
        write: Write,
        sent: u8,
    },
    /// The write is about to be committed.
    Writing {
        write: Write,
        sent: u8,
    },
    /// The run is about to learn the result.
    Written {
        write: Write,
        sent: u8,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Swap {
    owner: Read,
    status: Read,
    next: Message,
    run: Message,
    settings: Option<u64>,
    claim: u64,
    sent: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Write {
    Progress,
    BeginItem,
    EndItem,
    Finish,
    HandBack(Message),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Run {
    /// The fencing token.
    pub(super) token: u64,
    claim: u64,
    /// When its last accepted write was sent, as far as it knows.
    sent: u8,
    status: Message,
    settings: Option<u64>,
    item: Option<(u64, Message)>,
    writes_left: u8,
    /// Whether its end was committed.
    has_ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Choice {
    GoOn,
    Progress,
    /// Begins or ends the item.
    Item,
    Finish,
    HandBack,
    /// Stops writing, like a runner whose run has lapsed.
    Leave,
}

impl Run {
    pub(super) fn is_lapsed(&self, bounds: &Bounds, now: u8) -> bool {
        duration(now) >= ownership::alive_until(duration(self.sent), duration(bounds.timeout))
    }

    pub(super) fn is_resumed(&self) -> bool {
        self.status.read::<RunStatus>().run < self.token
    }
}

impl Claimer {
    pub(super) fn choices(&self, bounds: &Bounds, may_claim: bool, now: u8) -> Vec<Choice> {
        match (&self.phase, &self.run) {
            (Phase::Free, None) if !may_claim => Vec::new(),
            (Phase::Free, Some(run)) if run.has_ended => vec![Choice::GoOn],
            (Phase::Free, Some(run)) => {
                let writes = [Choice::Progress, Choice::Item];
                let ends = [Choice::Finish, Choice::HandBack];
                let leave = run.is_lapsed(bounds, now).then_some(Choice::Leave);
                writes.into_iter().filter(|_| run.writes_left > 0).chain(ends).chain(leave).collect()
            }
            _ => vec![Choice::GoOn],
        }
    }

    /// Reports whether it has not reached the write that it has read for.
    pub(super) fn has_more_steps(&self) -> bool {
        match self.phase {
            Phase::Free => self.run.as_ref().is_some_and(|run| run.has_ended),
            Phase::Swapping(_) | Phase::Writing { .. } => false,
            _ => true,
        }
    }

    /// Reports whether it believes itself the owner and has not released the process.
    pub(super) fn is_sure(&self, bounds: &Bounds, now: u8) -> bool {
        self.run.as_ref().is_some_and(|run| !run.has_ended && !run.is_lapsed(bounds, now))
    }

    /// Reports whether it is about to write although there is another owner.
    pub(super) fn is_fenced_off(&self, world: &World) -> bool {
        let is_writing = matches!(self.phase, Phase::Writing { .. });
        is_writing && self.run.as_ref().is_some_and(|run| Some(run.token) != world.owner_version())
    }

    pub(super) fn step(&mut self, world: &mut World, bounds: &Bounds, choice: Choice) {
        self.phase = match (std::mem::take(&mut self.phase), choice) {
            (Phase::Free, choice) if self.run.is_some() => self.use_run(world, choice),
            (Phase::Free, _) => {
                world.begin_claim();
                Phase::OwnerRead(world.store.read(&Key::owner(PROCESS)))
            }
            (Phase::OwnerRead(owner), _) => Phase::StatusRead(owner, world.store.read(&Key::status(PROCESS))),
            (Phase::StatusRead(owner, status), _) => {
                match world.decide(bounds, &owner.message(), &status.message()) {
                    Decision::Held { .. } | Decision::NotDue { .. } => Phase::Free,
                    decision => Phase::Decided { owner, status, resumes: decision == Decision::Resume },
                }
            }
            (Phase::Decided { owner, status, resumes }, _) => {
                Phase::Swapping(prepare(world, bounds, (owner, status), resumes))
            }
            (Phase::Swapping(swap), _) => self.take_over(world, bounds, swap),
            (Phase::HandingBack(owner), _) => {
                let gone = gone(owner.message::<Owner>().value);
                Phase::Sending { write: Write::HandBack(Message::of(&gone)), sent: world.mono }
            }
            (Phase::Writing { write, sent }, _) => self.write(world, bounds, write, sent),
            (Phase::Sending { write, sent }, _) => {
                if bounds.fault != Some(Fault::LateSign) {
                    self.show_life(world, sent);
                }
                Phase::Writing { write, sent }
            }
            (Phase::Written { write, sent }, _) => self.note(world, bounds, write, sent),
        }
    }

    fn take_over(&mut self, world: &mut World, bounds: &Bounds, swapping: Swap) -> Phase {
        let Swap { owner, status, next, run, settings, claim, sent } = swapping;
        let batch = swap(PROCESS, (&owner.message(), &next.read()), (&status.message(), &run.read()));
        let without = match bounds.fault {
            Some(Fault::BlindSwap) => Some(Key::owner(PROCESS)),
            Some(Fault::StaleStatus) => Some(Key::status(PROCESS)),
            _ => None,
        };
        let Ok(token) = world.commit(batch, without.as_ref()) else {
            *world.sign(claim) = None;
            // Starts over.
            return Phase::OwnerRead(world.store.read(&Key::owner(PROCESS)));
        };
        // Excluding this claimer.
        let now = world.mono;
        world.seen.a_live_owner_was_replaced |=
            world.claimers.iter().any(|claimer| claimer.is_sure(bounds, now));
        if bounds.fault == Some(Fault::LatePulse) {
            // Published with the first write.
            *world.sign(claim) = None;
        }
        let writes_left = bounds.writes;
        let status = run;
        self.run =
            Some(Run { token, claim, sent, status, settings, item: None, writes_left, has_ended: false });
        Phase::Free
    }

    fn use_run(&mut self, world: &mut World, choice: Choice) -> Phase {
        let run = self.run.as_mut().unwrap();
        let sent = world.mono;
        run.writes_left = run.writes_left.saturating_sub(1);
        match choice {
            Choice::GoOn | Choice::Leave => {
                *world.sign(run.claim) = None;
                self.run = None;
                Phase::Free
            }
            Choice::HandBack => Phase::HandingBack(world.store.read(&Key::owner(PROCESS))),
            Choice::Finish => {
                let mut status: RunStatus = run.status.read();
                let end = run::final_state(&status);
                run::finish(status.status.get_or_insert_default(), end, world.now());
                run.status = Message::of(&status);
                Phase::Sending { write: Write::Finish, sent }
            }
            Choice::Progress => {
                let mut status: RunStatus = run.status.read();
                status.status.get_or_insert_default().progress_time = Some(time::to_wire(world.now()));
                run.status = Message::of(&status);
                Phase::Sending { write: Write::Progress, sent }
            }
            Choice::Item => match run.change_item(world) {
                Some(write) => Phase::Sending { write, sent },
                None => Phase::Free,
            },
        }
    }

    fn write(&mut self, world: &mut World, bounds: &Bounds, write: Write, sent: u8) -> Phase {
        let run = self.run.as_mut().unwrap();
        let (owner, settings) = (Key::owner(PROCESS), Key::settings(PROCESS));
        let was_owner = world.owner_version() == Some(run.token);
        let without = (bounds.fault == Some(Fault::NoFence)).then_some(&owner);
        match world.commit(run.batch(&write), without) {
            Ok(version) => {
                world.seen.a_lost_owner_wrote |= !was_owner;
                if let Some((known, _)) = &mut run.item
                    && matches!(write, Write::BeginItem | Write::EndItem)
                {
                    *known = version;
                }
                run.has_ended = matches!(write, Write::Finish | Write::HandBack(_));
                Phase::Written { write, sent }
            }
            Err(key) if key == settings => {
                run.settings = world.store.read(&settings).version;
                Phase::Sending { write, sent: world.mono }
            }
            // This is the owner, the only writer of items.
            Err(_) => {
                *world.sign(run.claim) = None;
                self.run = None;
                Phase::Free
            }
        }
    }

    fn show_life(&self, world: &mut World, sent: u8) {
        if let Some(run) = &self.run
            && let Some(sign) = world.sign(run.claim)
        {
            *sign = sent.max(*sign);
        }
    }

    fn note(&mut self, world: &mut World, bounds: &Bounds, write: Write, sent: u8) -> Phase {
        self.show_life(world, sent);
        let run = self.run.as_mut().unwrap();
        let is_late = bounds.fault == Some(Fault::LateDeadline);
        run.sent = if is_late { world.mono } else { sent };
        if write == Write::EndItem {
            run.item = None;
            world.seen.completed_in.push(run.status.read::<RunStatus>().run);
        }
        Phase::Free
    }
}

impl Run {
    /// Begins the item if it is to be processed, or ends it if it is in progress.
    fn change_item(&mut self, world: &World) -> Option<Write> {
        let mut status: RunStatus = self.status.read();
        if let Some((_, work)) = &mut self.item {
            let mut ended: Item = work.read();
            item::finish(&mut ended, State::Completed, world.now());
            stats::count_end(&mut status.status.get_or_insert_default().stats, State::Completed);
            (*work, self.status) = (Message::of(&ended), Message::of(&status));
            return Some(Write::EndItem);
        }
        let record = world.store.read(&item_key()).message::<Item>();
        let mut work = record.value;
        if !item::is_to_do(&work, &status) {
            return None;
        }
        item::begin(&mut work, &status, world.now());
        self.item = Some((record.version?, Message::of(&work)));
        Some(Write::BeginItem)
    }

    fn batch(&self, write: &Write) -> Batch {
        let (owner, settings) = (Key::owner(PROCESS), Key::settings(PROCESS));
        let settings = (&settings, Expect::unchanged(self.settings));
        let batch = fenced(Batch::new(), (&owner, self.token), settings)
            .put(Key::status(PROCESS), self.status.read::<RunStatus>().to_payload());
        match (write, &self.item) {
            (Write::BeginItem | Write::EndItem, Some((version, work))) => batch
                .expect(item_key(), Expect::Version(*version))
                .put(item_key(), work.read::<Item>().to_payload()),
            (Write::HandBack(gone), _) => batch.put(owner.clone(), gone.read::<Owner>().to_payload()),
            _ => batch,
        }
    }
}

/// Prepares a claim and its first heartbeat, which must come before the commit.
fn prepare(world: &mut World, bounds: &Bounds, (owner, status): (Read, Read), resumes: bool) -> Swap {
    let settings = world.store.read(&Key::settings(PROCESS)).version;
    let (now, sent) = (world.now(), world.mono);
    let number = world.store.last_seq() + 1;
    let earlier: RunStatus = status.message().value;
    let run =
        if resumes { run::resume(earlier, number, now) } else { run::begin(number, &earlier, false, now) };
    let claim = world.next_claim();
    if bounds.fault != Some(Fault::LatePulse) {
        *world.sign(claim) = Some(sent);
    }
    let next = Owner {
        process_name: PROCESS.to_owned(),
        instance: "i".to_owned(),
        claimed: Some(time::to_wire(now)),
        opening: world.opening(),
        claim,
        ..Owner::default()
    };
    let (next, run) = (Message::of(&next), Message::of(&run));
    Swap { owner, status, next, run, settings, claim, sent }
}
