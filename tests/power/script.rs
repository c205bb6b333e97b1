//! The steps of a victim: the same each time for the same plan, so that the checker can replay them
//! and knows every state that the store may be in.

use std::cell::Cell;
use std::time::Duration;

use procstate::proto::{Status, Work};
use procstate::{
    Claim, ClaimOptions, Clock, Durability, Effect, ImportMode, Instance, List, Params, PastRun, Process,
    ProcessHandle, Progress, Purged, Result, Run, Store, StoreBuilder, Timestamp, Verify, WorkItem,
};
use prost_types::Timestamp as WireTime;

/// The last steps of a phase end the run.
const LAST_STEPS: u64 = 2;

/// The workload of a victim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// All operations, as fast as possible.
    Busy,
    /// Only buffered writes of one thread, some hundred per second, to measure the loss.
    Buffered,
    /// Only large buffered writes, as fast as possible: much is unsynced at the cut, and earlier
    /// data must survive.
    Flood,
}

impl Style {
    const ALL: [Self; 3] = [Self::Busy, Self::Buffered, Self::Flood];
}

/// The parameters that determine a victim's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    pub seed: u64,
    pub life: u64,
    pub style: Style,
    pub threads: usize,
    pub sync_interval: Duration,
}

impl Plan {
    /// Formats the plan for the environment of a victim.
    pub fn to_text(self) -> String {
        let Self { seed, life, style, threads, sync_interval } = self;
        format!("{seed} {life} {} {threads} {}", style as usize, sync_interval.as_millis())
    }

    pub fn parse(text: &str) -> Self {
        let words: Vec<u64> = text.split(' ').map(|word| word.parse().unwrap()).collect();
        Self {
            seed: words[0],
            life: words[1],
            style: Style::ALL[words[2] as usize],
            threads: words[3] as usize,
            sync_interval: Duration::from_millis(words[4]),
        }
    }

    /// Returns the number of steps between two closings of the store.
    pub fn steps_per_phase(self) -> u64 {
        match self.style {
            Style::Busy => 120,
            Style::Flood => 400,
            // The end of a phase would be durable, so there is none.
            Style::Buffered => u64::MAX,
        }
    }

    /// Reports whether a thread has anything to do.
    pub fn is_active(self, thread: usize) -> bool {
        self.style != Style::Buffered || thread == 0
    }

    fn verify(self) -> Verify {
        if (self.seed ^ self.life).is_multiple_of(3) { Verify::InBackground } else { Verify::BeforeOpening }
    }

    /// Returns the options of victims and checkers: small limits, so that background work is
    /// frequent.
    pub fn builder(self) -> StoreBuilder {
        let builder = Store::builder()
            .clock(StepClock)
            .sync_interval(self.sync_interval)
            .cache_bytes(1 << 20)
            .verify(self.verify())
            .history(5);
        match self.style {
            // What is longer than it must be when the store is closed.
            Style::Busy if self.life % 2 == 1 => {
                builder.segment_bytes(512 << 10).memtable_bytes(64 << 10).log_history_bytes(0)
            }
            Style::Busy | Style::Flood => {
                builder.segment_bytes(16 << 10).memtable_bytes(64 << 10).snapshot_log_bytes(64 << 10)
            }
            // Only the store's own clock triggers syncs.
            Style::Buffered => builder,
        }
    }
}

thread_local! {
    static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// A clock that each script sets for its own thread.
#[derive(Debug)]
struct StepClock;

impl Clock for StepClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_790_000_000).unwrap() + NOW.get()
    }

    fn monotonic(&self) -> Duration {
        NOW.get()
    }
}

/// What a step wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrote {
    Nothing,
    Buffered,
    Synced,
}

impl Wrote {
    fn with(durability: Durability) -> Self {
        match durability {
            Durability::Buffered => Self::Buffered,
            Durability::Synced => Self::Synced,
        }
    }
}

/// A completed step.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    pub wrote: Wrote,
    /// The fencing token of a claim.
    pub token: Option<u64>,
    /// Whether it was a purge, the only call with two commits.
    pub is_purge: bool,
}

/// The part of a store that follows from a script's plan.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    pub work: Option<Process>,
    pub runs: Vec<PastRun>,
    pub imported: Option<Process>,
}

impl State {
    pub fn read(store: &Store, thread: usize) -> Result<Self> {
        let (work, imported) = (store.process(&worked_on(thread))?, store.process(&replaced(thread))?);
        let mut state = Self { work: None, runs: Vec::new(), imported: None };
        if work.exists()? {
            state.work = Some(work.snapshot()?);
            state.runs = work.history()?;
        }
        if imported.exists()? {
            state.imported = Some(imported.snapshot()?);
        }
        // The second half of an instance's id is random.
        let instances = state.runs.iter_mut().map(|run| &mut run.instance);
        for instance in instances.chain(state.work.as_mut().map(|work| &mut work.instance)) {
            *instance = instance.split('/').next().unwrap_or_default().to_owned();
        }
        Ok(state)
    }

    /// The state between the two commits of a purge: dropped items are removed, runs are not yet.
    pub fn half_purged(before: &Self, after: &Self) -> Self {
        Self { runs: before.runs.clone(), ..after.clone() }
    }
}

fn worked_on(thread: usize) -> String {
    format!("work/{thread}")
}

fn replaced(thread: usize) -> String {
    format!("work/{thread}/replaced")
}

pub struct Script {
    plan: Plan,
    thread: usize,
    store: Store,
    process: ProcessHandle,
    random: fastrand::Rng,
    /// Before `run`, so that it is dropped first.
    item: Option<WorkItem>,
    run: Option<Run>,
    /// The durability of the run's progress.
    durability: Durability,
    steps: u64,
}

impl Script {
    pub fn new(plan: Plan, thread: usize, store: &Store) -> Self {
        let process = store.process(&worked_on(thread)).unwrap();
        let seed = plan.seed.wrapping_mul(31).wrapping_add(plan.life).wrapping_mul(31) + thread as u64;
        let random = fastrand::Rng::with_seed(seed);
        let durability = Durability::Buffered;
        Self {
            plan,
            thread,
            store: store.clone(),
            process,
            random,
            item: None,
            run: None,
            durability,
            steps: 0,
        }
    }

    /// Continues with a reopened store.
    pub fn reopened(&mut self, store: &Store) {
        self.store = store.clone();
        self.process = store.process(&worked_on(self.thread)).unwrap();
    }

    /// Reports whether the store must be reopened before the next step.
    pub fn is_phase_over(&self) -> bool {
        self.steps.is_multiple_of(self.plan.steps_per_phase())
    }

    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Takes the next step: one call that commits at most once.
    pub fn step(&mut self) -> Result<Step> {
        NOW.set(Duration::from_secs(self.plan.life * 100_000 + self.steps));
        let (in_phase, is_first) = (self.steps % self.plan.steps_per_phase(), self.steps == 0);
        self.steps += 1;
        if is_first {
            return self.register_many(Durability::Synced);
        }
        if in_phase >= self.plan.steps_per_phase() - LAST_STEPS {
            return self.wind_down();
        }
        match self.plan.style {
            Style::Busy => self.busy_step(),
            Style::Buffered => self.buffered_step(),
            Style::Flood => self.flood_step(),
        }
    }

    fn wind_down(&mut self) -> Result<Step> {
        match (self.item.take(), self.run.take()) {
            (Some(item), run) => {
                self.run = run;
                item.finish().map(|()| wrote(Wrote::with(self.durability)))
            }
            (None, Some(run)) => run.hand_back().map(|()| wrote(Wrote::Synced)),
            (None, None) => Ok(wrote(Wrote::Nothing)),
        }
    }

    fn busy_step(&mut self) -> Result<Step> {
        let durability = if self.random.bool() { Durability::Synced } else { Durability::Buffered };
        match self.random.u8(..100) {
            0..16 => self.register(durability),
            16..23 => self.unregister(durability),
            23..26 => self.register_many(durability),
            26..29 => self.set(durability),
            29..31 => self.purge(durability),
            31..33 => self.import(),
            33..35 => self.store.sync().map(|()| wrote(Wrote::Synced)),
            _ => self.next_owner_step(),
        }
    }

    fn buffered_step(&mut self) -> Result<Step> {
        if self.random.u8(..10) == 0 { self.register(Durability::Buffered) } else { self.progress_only() }
    }

    fn flood_step(&mut self) -> Result<Step> {
        match self.random.u8(..20) {
            0..10 => self.register(Durability::Buffered),
            10..12 => self.register_many(Durability::Buffered),
            12..14 => self.unregister(Durability::Buffered),
            14 => self.purge(Durability::Buffered),
            _ => self.progress_only(),
        }
    }

    /// Takes the next step of the process's owner.
    fn next_owner_step(&mut self) -> Result<Step> {
        if self.item.is_some() {
            return self.work();
        }
        let Some(run) = &mut self.run else { return self.claim() };
        let step = match self.random.u8(..20) {
            0 => self.run.take().map(Run::hand_back).transpose()?.map(|()| Wrote::Synced),
            1 => self.run.take().map(|run| run.abort("enough")).transpose()?.map(|_| Wrote::Synced),
            2 => {
                run.add_error("something");
                Some(progress(run.progress(), self.durability)?)
            }
            _ => return self.next_work(),
        };
        Ok(wrote(step.unwrap_or(Wrote::Nothing)))
    }

    fn claim(&mut self) -> Result<Step> {
        let durable = self.plan.style == Style::Busy && self.random.u8(..4) == 0;
        self.durability = if durable { Durability::Synced } else { Durability::Buffered };
        let options = ClaimOptions::new()
            .force(true)
            .afresh(self.random.u8(..8) == 0)
            .progress_interval(Duration::ZERO)
            .progress_durability(self.durability);
        let instance = Instance::named(&format!("{}-{}-{}", self.thread, self.plan.life, self.steps));
        match self.process.claim_with(&instance, &options)? {
            Claim::Won(run) => {
                let token = Some(run.token());
                self.run = Some(run);
                Ok(Step { wrote: Wrote::Synced, token, is_purge: false })
            }
            other => panic!("no other instance holds the process: {other:?}"),
        }
    }

    fn next_work(&mut self) -> Result<Step> {
        let Some(run) = &mut self.run else { return Ok(wrote(Wrote::Nothing)) };
        self.item = run.next_work()?;
        match &self.item {
            // Its end is a separate step.
            None => Ok(wrote(
                self.run.take().map(Run::finish).transpose()?.map_or(Wrote::Nothing, |_| Wrote::Synced),
            )),
            // Only active work has a stored status.
            Some(item) if item.list() == List::Active => Ok(wrote(Wrote::with(self.durability))),
            Some(_) => Ok(wrote(Wrote::Nothing)),
        }
    }

    fn work(&mut self) -> Result<Step> {
        let Some(item) = &mut self.item else { return Ok(wrote(Wrote::Nothing)) };
        match self.random.u8(..20) {
            0..4 => {
                if self.random.bool() {
                    item.drop_when_done();
                }
                self.item.take().map(WorkItem::finish).transpose()?;
                Ok(wrote(Wrote::with(self.durability)))
            }
            4 => {
                item.add_error("x".repeat(self.random.usize(..2000)));
                progress(item.progress(), self.durability).map(wrote)
            }
            _ => self.progress_only(),
        }
    }

    /// Makes progress if possible, or what must come before it.
    fn progress_only(&mut self) -> Result<Step> {
        let Some(item) = &mut self.item else {
            return if self.run.is_some() { self.next_work() } else { self.claim() };
        };
        item.add_stat("n", 1.0);
        progress(item.progress(), self.durability).map(wrote)
    }

    fn name(&mut self) -> String {
        format!("w{}", self.random.u8(..24))
    }

    fn params(&mut self) -> Params {
        let size = match self.random.u8(..40) {
            _ if self.plan.style == Style::Buffered => 10,
            _ if self.plan.style == Style::Flood => self.random.usize(..30_000),
            0 => self.random.usize(..120_000),
            1..6 => self.random.usize(..9_000),
            _ => self.random.usize(..300),
        };
        Params::new().int("step", self.steps as i64).string("pad", "x".repeat(size))
    }

    fn register(&mut self, durability: Durability) -> Result<Step> {
        let (name, params) = (self.name(), self.params());
        let effect = self.handle(durability).register(&name, params)?;
        Ok(changed(effect, durability))
    }

    /// Registers many items in one atomic commit.
    fn register_many(&mut self, durability: Durability) -> Result<Step> {
        let items: Vec<_> = (0..self.random.usize(5..25)).map(|_| (self.name(), self.params())).collect();
        let count = self.handle(durability).register_all(items)?.changed;
        Ok(wrote(if count > 0 { Wrote::with(durability) } else { Wrote::Nothing }))
    }

    fn unregister(&mut self, durability: Durability) -> Result<Step> {
        let name = self.name();
        let effect = self.handle(durability).unregister(&name)?;
        Ok(changed(effect, durability))
    }

    fn set(&mut self, durability: Durability) -> Result<Step> {
        let params = self.params();
        let effect = self.handle(durability).set_params(params)?;
        Ok(changed(effect, durability))
    }

    fn purge(&mut self, durability: Durability) -> Result<Step> {
        let purged = self.handle(durability).purge(Duration::from_secs(30))?;
        let did = if purged == Purged::default() { Wrote::Nothing } else { Wrote::with(durability) };
        Ok(Step { wrote: did, token: None, is_purge: true })
    }

    /// Imports a whole process in one commit.
    fn import(&mut self) -> Result<Step> {
        let mut process = Process { process_name: replaced(self.thread), ..Process::default() };
        for n in 0..self.random.usize(1..60) {
            let time = WireTime { seconds: self.steps as i64, nanos: n as i32 };
            match self.random.u8(..3) {
                0 => drop(process.cleanup_work.insert(format!("i{n}"), time)),
                1 => drop(process.dropped_work.insert(format!("i{n}"), time)),
                _ => {
                    let status = Some(Status { start_time: Some(time), ..Status::default() });
                    let work = Work { modified: Some(time), params: Some(self.params()), status };
                    process.active_work.insert(format!("i{n}"), work);
                }
            }
        }
        self.store.import(process, ImportMode::Replace)?;
        Ok(wrote(Wrote::Synced))
    }

    fn handle(&self, durability: Durability) -> ProcessHandle {
        self.process.clone().with_durability(durability)
    }
}

fn wrote(wrote: Wrote) -> Step {
    Step { wrote, token: None, is_purge: false }
}

fn changed(effect: Effect, durability: Durability) -> Step {
    wrote(if effect == Effect::Changed { Wrote::with(durability) } else { Wrote::Nothing })
}

fn progress(answer: Result<Progress>, durability: Durability) -> Result<Wrote> {
    Ok(match answer? {
        Progress::None => Wrote::Nothing,
        Progress::Updated | Progress::Merged | Progress::Aborted => Wrote::with(durability),
        Progress::Conflict => panic!("no other instance holds the process"),
    })
}
