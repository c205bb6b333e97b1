//! Consecutive lives of one store: each starts with the disk that the last power cut left, and ends
//! with the next cut.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::common::check;
use super::disk::{Disk, Honesty, Survival};
use super::mount::{self, Event, Mounted, Power, now_nanos};
use super::oracle::{self, Promises, Verdict};
use super::script::{Plan, State, Style};
use super::victim::{self, Line, Told, Victim};

/// How long a victim may take until its power cut.
const PATIENCE: Duration = Duration::from_secs(60);
/// The number of cuts per store.
pub const LIVES: u64 = 8;
const THREADS: usize = 3;
/// The path of the store, whose folders it must create.
const STORE: &str = "new/folders/state";

/// Faults to inject into a chain.
#[derive(Debug, Clone, Copy)]
pub struct Faults {
    pub honesty: Honesty,
    /// A sync interval of the victim that differs from the one in its promises.
    pub sync_interval: Option<Duration>,
    /// The style of each life.
    pub style: Option<Style>,
}

impl Faults {
    pub const NONE: Self = Self { honesty: Honesty::Honest, sync_interval: None, style: None };

    fn are_none(self) -> bool {
        self.honesty == Honesty::Honest && self.sync_interval.is_none()
    }
}

/// When the power is cut.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// At this file system call of the victim.
    Call(usize),
    /// This long after the start.
    After(Duration),
}

/// The totals of some cuts.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    pub cuts: u64,
    /// Cuts while the store was being opened.
    pub opening: u64,
    pub acknowledged: u64,
    /// Cuts preceded by kills without a power cut.
    pub after_kills: u64,
    /// Acknowledged buffered steps that were lost, as permitted.
    pub lost: u64,
    /// Bytes not synced at the power cut.
    pub unsynced_bytes: u64,
}

impl Tally {
    pub fn add(&mut self, other: Self) {
        self.cuts += other.cuts;
        self.opening += other.opening;
        self.after_kills += other.after_kills;
        self.acknowledged += other.acknowledged;
        self.lost += other.lost;
        self.unsynced_bytes += other.unsynced_bytes;
    }
}

pub struct Chain {
    seed: u64,
    number: u64,
    faults: Faults,
    random: fastrand::Rng,
    folder: tempfile::TempDir,
    disk: Disk,
    /// The disk's content, opened and closed once.
    before: PathBuf,
    /// The newest fencing token of each thread.
    tokens: Vec<u64>,
    life: u64,
}

/// The actions of one victim.
struct Life {
    plan: Plan,
    told: Told,
    /// The store at its start, opened and closed once.
    before: PathBuf,
    /// When it was killed; nothing is synced from then until the next life has opened the store.
    until: u64,
}

/// A cut with everything needed to judge it.
struct Cut {
    /// More than one if victims were killed without a power cut.
    lives: Vec<Life>,
    events: Vec<Event>,
    unsynced: (u64, usize),
}

impl Chain {
    pub fn new(seed: u64, number: u64, faults: Faults) -> Self {
        let folder = mount::folder();
        let mut disk = Disk::new();
        disk.set_honesty(faults.honesty);
        std::fs::create_dir(folder.path().join("mount")).unwrap();
        let before = folder.path().join("before-1");
        let random = fastrand::Rng::with_seed(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Self { seed, number, faults, random, folder, disk, before, tokens: vec![0; THREADS], life: 0 }
    }

    /// Runs one life, sometimes two, and cuts the power.
    pub fn cut(&mut self) -> Result<Tally, String> {
        let is_killed_first = self.faults.style.is_none() && self.random.u8(..6) == 0;
        let first = is_killed_first.then(|| (self.plan(false).0, self.random.usize(1..500)));
        let (plan, moment) = self.plan(is_killed_first);
        let survival = self.survival();
        let context = format!(
            "PROCSTATE_SEED={} PROCSTATE_CHAIN={}, life {} of the chain, killed first: {first:?}, {moment:?}, {survival:?}, {plan:?}",
            self.seed, self.number, self.life
        );
        let mut cut = Cut { lives: Vec::new(), events: Vec::new(), unsynced: (0, 0) };
        let disk = self.live(&mut cut, first, (plan, moment)).map_err(|(why, disk)| {
            let image = self.folder.path().join("image");
            let _ = std::fs::remove_dir_all(&image);
            disk.write_to(&image).unwrap();
            format!("{context}: {why}{}", self.keep(&cut, &image, &context))
        })?;
        let image = self.folder.path().join("image");
        let _ = std::fs::remove_dir_all(&image);
        self.disk = disk.after_power_cut(survival, &mut self.random);
        self.disk.write_to(&image).unwrap();
        self.judge(&cut, &image).map_err(|why| {
            let left = self.keep(&cut, &image, &context);
            let (bytes, names) = cut.unsynced;
            format!("{context}, {bytes} bytes and {names} names not synced: {why}{left}")
        })
    }

    fn plan(&mut self, after_kill: bool) -> (Plan, Moment) {
        self.life += 1;
        let random = &mut self.random;
        let style = match random.u8(..12) {
            0 => Style::Buffered,
            1 | 2 => Style::Flood,
            _ => Style::Busy,
        };
        let style = self.faults.style.unwrap_or(style);
        let interval = match style {
            Style::Buffered => 50,
            Style::Busy => *random.choice(&[5, 50, 200]).unwrap(),
            Style::Flood => 10_000,
        };
        // Creation and recovery are cut more often than their duration suggests.
        let is_early = random.u8(..10) < if self.life == 1 || after_kill { 5 } else { 2 };
        let moment = match style {
            Style::Buffered => Moment::After(Duration::from_millis(random.u64(300..900))),
            Style::Busy | Style::Flood if is_early => Moment::Call(random.usize(1..50)),
            Style::Busy | Style::Flood => Moment::Call(random.usize(1..1200)),
        };
        let sync_interval = Duration::from_millis(interval);
        (Plan { seed: random.u64(..), life: self.life, style, threads: THREADS, sync_interval }, moment)
    }

    fn survival(&mut self) -> Survival {
        let random = &mut self.random;
        let keep = *random.choice(&[0.05, 0.5, 0.95]).unwrap();
        match random.u8(..20) {
            0..4 => Survival::Nothing,
            4..6 => Survival::Everything,
            6..12 => Survival::Cached { keep },
            12..18 => Survival::Any { keep },
            _ => Survival::Torn { keep },
        }
    }

    /// Runs a victim until the power cut, preceded by one killed without a cut at `first`, if
    /// given.
    ///
    /// A failure includes the disk at that time.
    fn live(
        &mut self,
        cut: &mut Cut,
        first: Option<(Plan, usize)>,
        last: (Plan, Moment),
    ) -> Result<Disk, (String, Disk)> {
        let power = Power::new(std::mem::replace(&mut self.disk, Disk::new()));
        let lived = self.live_with(&power, cut, first, last);
        let (disk, events) = power.take();
        cut.events = events;
        cut.unsynced = disk.unsynced();
        match lived {
            Ok(()) => Ok(disk),
            Err(why) => Err((why, disk)),
        }
    }

    fn live_with(
        &mut self,
        power: &Power,
        cut: &mut Cut,
        first: Option<(Plan, usize)>,
        (plan, moment): (Plan, Moment),
    ) -> Result<(), String> {
        let mount = self.folder.path().join("mount");
        let _mounted = Mounted::new(power, &mount).map_err(|error| format!("mounting: {error}"))?;
        if let Some((plan, calls)) = first {
            self.run(cut, plan, |victim| wait(victim, || power.calls() >= calls))?;
            self.judge_kill(cut, &power.disk())?;
        }
        if let Moment::Call(number) = moment {
            power.cut_after(number);
        }
        self.run(cut, plan, |victim| {
            let is_alive = match moment {
                Moment::Call(_) => wait(victim, || power.wait_for_cut(Duration::from_millis(10))),
                Moment::After(time) => {
                    std::thread::sleep(time);
                    !victim.is_over()
                }
            };
            power.cut();
            is_alive
        })
    }

    /// Runs a victim until `is_alive` returns.
    fn run(
        &mut self,
        cut: &mut Cut,
        plan: Plan,
        is_alive: impl FnOnce(&mut Victim) -> bool,
    ) -> Result<(), String> {
        let sync_interval = self.faults.sync_interval.unwrap_or(plan.sync_interval);
        let folder = self.folder.path().join("mount").join(STORE);
        let mut victim = Victim::start(&folder, Plan { sync_interval, ..plan });
        let is_alive = is_alive(&mut victim);
        // Sometimes it sees the I/O errors.
        if self.random.bool() {
            std::thread::sleep(Duration::from_millis(2));
        }
        let until = now_nanos();
        let (told, errors) = victim.kill();
        let error = told.error.clone().unwrap_or_default();
        let tokens = self.check_tokens(&told);
        cut.lives.push(Life { plan, told, before: self.before.clone(), until });
        if is_alive { tokens } else { Err(format!("the victim had power and failed: {error}; {errors}")) }
    }

    /// Judges the store of a killed victim, which must have everything acknowledged.
    fn judge_kill(&mut self, cut: &Cut, disk: &Disk) -> Result<(), String> {
        let opened = self.folder.path().join(format!("before-{}", self.life));
        disk.write_to(&opened).unwrap();
        let life = &cut.lives[0];
        let found = inspect(life.plan, &opened.join(STORE))?;
        let promises = Promises::of_kill(life.plan, &life.told);
        let verdict = oracle::judge(&found, &|| self.reference(life), life.plan, &life.told, &promises);
        verdict.map_err(|why| format!("after a kill: {why}"))?;
        self.before = opened;
        Ok(())
    }

    /// Opens the store after the cut as the next program would, and judges it.
    fn judge(&mut self, cut: &Cut, image: &Path) -> Result<Tally, String> {
        let opened = self.folder.path().join(format!("before-{}", self.life + 1));
        copy_all(image, &opened);
        let plan = cut.lives[0].plan;
        let found = inspect(plan, &opened.join(STORE))?;
        let verdict = self.judge_lives(cut, &found)?;
        for life in &cut.lives {
            let _ = std::fs::remove_dir_all(&life.before);
        }
        self.before = opened;
        let last = &cut.lives[cut.lives.len() - 1].told;
        Ok(Tally {
            cuts: 1,
            opening: u64::from(last.acknowledged() == 0),
            after_kills: u64::from(cut.lives.len() > 1),
            acknowledged: cut.lives.iter().map(|life| life.told.acknowledged()).sum(),
            lost: verdict.lost,
            unsynced_bytes: cut.unsynced.0,
        })
    }

    /// The cut may reach back into the life of an earlier killed victim if nothing is promised of
    /// the last one.
    fn judge_lives(&self, cut: &Cut, found: &[State]) -> Result<Verdict, String> {
        let mut failures = Vec::new();
        for life in cut.lives.iter().rev() {
            let Life { plan, told, until, .. } = life;
            let lived = cut.events.partition_point(|event| event.nanos <= *until);
            let promises = Promises::new(*plan, plan.sync_interval, told, &cut.events[..lived]);
            match oracle::judge(found, &|| self.reference(life), *plan, told, &promises) {
                Ok(verdict) => return Ok(verdict),
                Err(why) => failures.push(why),
            }
            if promises.are_any() {
                break;
            }
        }
        Err(failures.join("\nand before it: "))
    }

    /// Returns a copy of the store at a victim's start.
    fn reference(&self, life: &Life) -> PathBuf {
        let reference = self.folder.path().join("reference");
        let _ = std::fs::remove_dir_all(&reference);
        if life.before.exists() {
            copy_all(&life.before, &reference);
        }
        reference.join(STORE)
    }

    /// Fencing tokens never repeat, and claims are durable.
    fn check_tokens(&mut self, told: &Told) -> Result<(), String> {
        for line in &told.lines {
            if let Line::Acknowledges { thread, token: Some(token), .. } = *line {
                if token <= self.tokens[thread] {
                    return Err(format!(
                        "thread {thread} got the fencing token {token} after {}",
                        self.tokens[thread]
                    ));
                }
                self.tokens[thread] = token;
            }
        }
        Ok(())
    }

    /// Saves what is needed to analyse a failure; returns the path.
    fn keep(&self, cut: &Cut, image: &Path, context: &str) -> String {
        if !self.faults.are_none() {
            return String::new();
        }
        let folder = tempfile::Builder::new().prefix("procstate-failed-cut-").tempdir().unwrap().keep();
        copy_all(image, &folder.join("after"));
        for (n, life) in cut.lives.iter().enumerate() {
            if life.before.exists() {
                copy_all(&life.before, &folder.join(format!("before-{n}")));
            }
            std::fs::write(folder.join(format!("told-{n}.txt")), format!("{context}\n{}", life.told.text))
                .unwrap();
        }
        let events: Vec<String> = cut.events.iter().map(Event::to_string).collect();
        std::fs::write(folder.join("events.txt"), events.join("\n")).unwrap();
        format!("\nleft in {}", folder.display())
    }
}

/// Waits until a condition holds; false if the victim ends before, or is idle.
fn wait(victim: &mut Victim, mut is_so: impl FnMut() -> bool) -> bool {
    let give_up = Instant::now() + PATIENCE;
    while Instant::now() < give_up {
        if is_so() {
            return true;
        }
        if victim.is_over() {
            return is_so();
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    false
}

/// Opens the store, reads all of it, and closes it.
fn inspect(plan: Plan, folder: &Path) -> Result<Vec<State>, String> {
    let store = victim::open(plan, folder).map_err(|error| format!("the store does not open: {error}"))?;
    check(&store);
    let read = |thread| State::read(&store, thread).map_err(|error| format!("reading: {error}"));
    let found = (0..plan.threads).map(read).collect::<Result<_, _>>()?;
    store.stats().map_err(|error| format!("its figures: {error}"))?;
    store.close().map_err(|error| format!("the store does not close: {error}"))?;
    Ok(found)
}

fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_all(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
