//! Lives of one store, one after another: each begins with the disk that the last
//! power cut left, and ends with the next.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::common::check;
use super::disk::{Disk, Honesty, Survival};
use super::mount::{Event, Mounted, Power};
use super::oracle::{self, Promises};
use super::script::{Plan, State, Style};
use super::victim::{self, Line, Told, Victim};

/// How long a victim may take until its power goes.
const PATIENCE: Duration = Duration::from_secs(60);
/// Cuts of one store; then another is begun.
pub const LIVES: u64 = 10;
const THREADS: usize = 3;

/// How a chain is to differ from an honest one.
#[derive(Debug, Clone, Copy)]
pub struct Faults {
    pub honesty: Honesty,
    /// The victim's sync interval in place of the one it is judged by.
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

/// When the power goes.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// At this call of the file system.
    Event(usize),
    /// So long after the start.
    After(Duration),
}

/// What came of some cuts.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    pub cuts: u64,
    /// Cuts before the store was open.
    pub opening: u64,
    pub acknowledged: u64,
    /// Buffered, acknowledged and lost, as it may be.
    pub lost: u64,
    /// Bytes that were not synced when the power went.
    pub unsynced_bytes: u64,
}

impl Tally {
    pub fn add(&mut self, other: Self) {
        self.cuts += other.cuts;
        self.opening += other.opening;
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
    /// What the disk holds, opened and closed once.
    before: PathBuf,
    /// The newest fencing token of each thread.
    tokens: Vec<u64>,
    life: u64,
}

/// One cut, for the words of a failure and for what is left of it.
struct Cut {
    plan: Plan,
    moment: Moment,
    survival: Survival,
    told: Told,
    events: Vec<Event>,
    unsynced: (u64, usize),
}

impl Chain {
    pub fn new(seed: u64, number: u64, faults: Faults) -> Self {
        let folder = memory_folder();
        let mut disk = Disk::new();
        disk.set_honesty(faults.honesty);
        std::fs::create_dir(folder.path().join("mount")).unwrap();
        let before = folder.path().join("before");
        let random = fastrand::Rng::with_seed(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Self { seed, number, faults, random, folder, disk, before, tokens: vec![0; THREADS], life: 0 }
    }

    /// Lives once more and cuts the power.
    pub fn cut(&mut self) -> Result<Tally, String> {
        self.life += 1;
        let (plan, moment) = self.plan();
        let survival = self.survival();
        let context = format!(
            "PROCSTATE_SEED={} PROCSTATE_CHAIN={}, cut {} of the chain, {moment:?}, {survival:?}, {plan:?}",
            self.seed, self.number, self.life
        );
        let (cut, disk) = self.live(plan, moment, survival).map_err(|why| format!("{context}: {why}"))?;
        let image = self.folder.path().join(format!("image-{}", self.life));
        self.disk = disk.after_power_cut(survival, &mut self.random);
        self.disk.write_to(&image).unwrap();
        self.judge(&cut, &image).map_err(|why| {
            let left = self.keep(&cut, &image);
            let (bytes, names) = cut.unsynced;
            format!("{context}, {bytes} bytes and {names} names not synced: {why}{left}")
        })
    }

    fn plan(&mut self) -> (Plan, Moment) {
        let random = &mut self.random;
        let slow = if random.u8(..12) == 0 { Style::Buffered } else { Style::Busy };
        let style = self.faults.style.unwrap_or(slow);
        let (moment, interval) = match style {
            Style::Buffered => (Moment::After(Duration::from_millis(random.u64(300..900))), 50),
            Style::Busy if random.u8(..10) < 3 => (Moment::Event(random.usize(1..80)), 50),
            Style::Busy => (Moment::Event(random.usize(1..1200)), *random.choice(&[5, 50, 200]).unwrap()),
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

    /// Runs a victim until the power goes.
    fn live(&mut self, plan: Plan, moment: Moment, survival: Survival) -> Result<(Cut, Disk), String> {
        let cut_at = match moment {
            Moment::Event(number) => number,
            Moment::After(_) => usize::MAX,
        };
        let power = Power::new(std::mem::replace(&mut self.disk, Disk::new()), cut_at);
        let mount = self.folder.path().join("mount");
        let mounted = Mounted::new(&power, &mount).map_err(|error| format!("mounting: {error}"))?;
        let sync_interval = self.faults.sync_interval.unwrap_or(plan.sync_interval);
        let mut victim = Victim::start(&mount.join("state"), Plan { sync_interval, ..plan });
        let outlived = wait(&power, &mut victim, moment);
        power.cut();
        // Now and then it gets to see the errors.
        if self.random.bool() {
            std::thread::sleep(Duration::from_millis(2));
        }
        let (told, errors) = victim.kill();
        drop(mounted);
        let (disk, events) = power.take();
        if !outlived {
            let error = told.error.as_deref().unwrap_or("nothing");
            return Err(format!("the victim had power and failed: it said {error}; {errors}"));
        }
        let unsynced = disk.unsynced();
        Ok((Cut { plan, moment, survival, told, events, unsynced }, disk))
    }

    /// Opens what the cut left as the next program would, and judges it.
    fn judge(&mut self, cut: &Cut, image: &Path) -> Result<Tally, String> {
        self.check_tokens(&cut.told)?;
        // The one that is opened must stay as it was, to be looked at.
        let opened = self.folder.path().join("opened");
        let _ = std::fs::remove_dir_all(&opened);
        copy_all(image, &opened);
        let found = inspect(cut.plan, &opened.join("state"))?;
        let promises = Promises::new(cut.plan, cut.plan.sync_interval, &cut.told, &cut.events);
        let verdict = oracle::judge(&found, &|| self.reference(), cut.plan, &cut.told, &promises)?;
        let _ = std::fs::remove_dir_all(&self.before);
        std::fs::rename(&opened, &self.before).unwrap();
        std::fs::remove_dir_all(image).unwrap();
        let acknowledged =
            cut.told.lines.iter().filter(|line| matches!(line, Line::Acknowledges { .. })).count() as u64;
        Ok(Tally {
            cuts: 1,
            opening: u64::from(acknowledged == 0),
            acknowledged,
            lost: verdict.lost,
            unsynced_bytes: cut.unsynced.0,
        })
    }

    /// A copy of the store that the victim began with.
    fn reference(&self) -> PathBuf {
        let reference = self.folder.path().join("reference");
        let _ = std::fs::remove_dir_all(&reference);
        if self.before.exists() {
            copy_all(&self.before, &reference);
        }
        reference.join("state")
    }

    /// A fencing token never comes twice, and claims are durable.
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

    /// Puts aside what a failure can be looked into with, and says where.
    fn keep(&self, cut: &Cut, image: &Path) -> String {
        if !self.faults.are_none() {
            return String::new();
        }
        let folder = tempfile::Builder::new().prefix("procstate-power-").tempdir().unwrap().keep();
        copy_all(image, &folder.join("after"));
        if self.before.exists() {
            copy_all(&self.before, &folder.join("before"));
        }
        let events: String = cut
            .events
            .iter()
            .map(|event| {
                format!(
                    "{event}
"
                )
            })
            .collect();
        std::fs::write(folder.join("events.txt"), events).unwrap();
        let said = format!(
            "{:?}
{:?}
{:?}
{}",
            cut.plan, cut.moment, cut.survival, cut.told.text
        );
        std::fs::write(folder.join("told.txt"), said).unwrap();
        format!(
            "
left in {}",
            folder.display()
        )
    }
}

/// Waits until the power goes; false if the victim ends before, or does nothing.
fn wait(power: &Power, victim: &mut Victim, moment: Moment) -> bool {
    if let Moment::After(time) = moment {
        std::thread::sleep(time);
        return !victim.is_over();
    }
    let rounds = PATIENCE.as_millis() / 10;
    for _ in 0..rounds {
        if power.wait_for_cut(Duration::from_millis(10)) {
            return true;
        }
        if victim.is_over() {
            return power.is_cut();
        }
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

/// A folder in memory where there is one: syncs cost nothing there.
fn memory_folder() -> tempfile::TempDir {
    let builder = || tempfile::Builder::new().prefix("procstate-power-").to_owned();
    builder().tempdir_in("/dev/shm").or_else(|_| builder().tempdir()).unwrap()
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
