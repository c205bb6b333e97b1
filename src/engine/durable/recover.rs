//! Opening: from what the files hold to a log that goes on, a memtable and an
//! index.

use std::sync::Arc;

use super::base::{Base, Home};
use super::checkpoint::Checkpoint;
use super::memtable::Generation;
use super::options::{Options, Recovery};
use super::rebuild::rebuild;
use super::report::{OpenReport, Rebuilt, TornTail};
use super::snapshots::{Snapshot, Snapshots};
use super::wal::{self, Directory, Entry, Files, Log, Pool, Scan, scan, scan_up_to_damage};
use super::witness::Witness;
use crate::archive;
use crate::error::{Error, Failure, Result};

/// The parts of a store on disk.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) home: Arc<dyn Home>,
    pub(crate) log: Files,
    pub(crate) snapshots: Snapshots,
}

/// A store that was opened.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) base: Box<dyn Base>,
    pub(crate) log: Log,
    pub(crate) pool: Arc<Pool>,
    /// What the index lacks.
    pub(crate) active: Generation,
    /// The commit up to which the index has everything.
    pub(crate) applied: u64,
    /// The commit up to which an interrupted checkpoint may have left something
    /// there.
    pub(crate) leftover: u64,
    pub(crate) snapshot: Option<Snapshot>,
    pub(crate) report: OpenReport,
}

pub(crate) fn recover(parts: &Parts, options: &Options) -> Result<Recovered> {
    parts.log.disk.create_dir(&parts.log.dir)?;
    parts.snapshots.tidy()?;
    let snapshot = parts.snapshots.newest()?;
    let witness = Witness::new(parts.home.noted(), snapshot.as_ref());
    let directory = parts.log.load()?;
    let mut report = OpenReport::default();
    let (base, copies) = read_all(parts, &directory, snapshot.as_ref(), &witness, options, &mut report);
    let base = base?;
    let applied = base.contents()?.seq;
    let found = match find_end(&directory, applied, options.recovery, &mut report)? {
        Some(found) => found,
        None => return begin(parts, &directory, base, options.recovery, report),
    };
    if let Some(why) = witness.why_not_log(Some(&found), None) {
        // Only where the log may be cut does it come to this.
        report.lost.get_or_insert(format!("the log: {why}"));
    }
    report.damaged_log.clone_from(&found.harmless);
    if let Some(copies) = copies.transpose()? {
        let wrong = || copies.wrong_log(&witness, applied);
        report.damaged_log = report.damaged_log.or_else(wrong);
        report.damaged_snapshot = copies.snapshot;
    }
    wal::repair(&directory, &found)?;
    let leftover = found.last_seq;
    let mut replay = Replay { base: &*base, active: Generation::default(), applied, leftover, options };
    // What was damaged is cut off by now.
    scan(&parts.log.load()?, applied, &mut |seq, entry| replay.commit(seq, entry))?;
    let (active, applied_now) = (replay.active, replay.applied);
    report.replayed = found.last_seq - applied;
    report.torn_tail = torn_tail(&found);
    tell(&report);
    if report.damaged_log.is_some() {
        let (generation, from, to) = (&active, applied_now, found.last_seq);
        Checkpoint { generation, from, to, leftover, is_alone: &|| true }.apply(&*base)?;
        return begin_behind_damage(parts, &directory, base, report);
    }
    let snapshot = match report.damaged_snapshot {
        Some(_) => parts.snapshots.write(&*base, &|| false)?,
        None => snapshot,
    };
    let (log, pool) = parts.log.resume(&directory, &found)?;
    parts.home.note(applied_now)?;
    Ok(Recovered { base, log, pool, active, applied: applied_now, leftover, snapshot, report })
}

/// Opens the index, and reads what could stand in for it meanwhile.
fn read_all(
    parts: &Parts,
    directory: &Directory,
    snapshot: Option<&Snapshot>,
    witness: &Witness,
    options: &Options,
    report: &mut OpenReport,
) -> (Result<Box<dyn Base>>, Option<Result<Copies>>) {
    std::thread::scope(|scope| {
        // Takes as long as reading all of the index.
        let check =
            options.verify_log.then(|| scope.spawn(|| read_copies(&parts.snapshots, snapshot, directory)));
        let base = open_base(parts, directory, snapshot, witness, options.recovery, report);
        (base, check.map(|check| check.join().map_err(panicked).flatten()))
    })
}

/// Goes on where a part of the log is damaged that nobody needs who has `base`: behind a
/// snapshot of that, in a segment of its own. What is damaged is gone then.
fn begin_behind_damage(
    parts: &Parts,
    directory: &Directory,
    base: Box<dyn Base>,
    report: OpenReport,
) -> Result<Recovered> {
    let applied = base.contents()?.seq;
    let snapshot = parts.snapshots.write(&*base, &|| false)?;
    parts.home.note(applied)?;
    let (log, pool) = parts.log.begin_anew(directory, applied)?;
    Ok(Recovered { base, log, pool, active: Generation::default(), applied, leftover: 0, snapshot, report })
}

/// Finds where the log ends, or is to be cut.
fn find_end(
    directory: &Directory,
    applied: u64,
    recovery: Recovery,
    report: &mut OpenReport,
) -> Result<Option<Scan>> {
    let damage = match scan(directory, applied, &mut |_, _| Ok(())) {
        Err(error) if recovery == Recovery::CutLog && error.is_corrupt() => error,
        found => return found,
    };
    report.lost = Some(match damage.failure() {
        Failure::LogDamaged { path, offset, why, first, last } => format!(
            "commits from {first} on, at least to {last}: the log is damaged in {} at byte {offset}, {why}",
            path.display()
        ),
        _ => crate::error::chain(&damage),
    });
    scan_up_to_damage(directory, applied, &mut |_, _| Ok(()))
}

/// Begins the log of a store that has none: a new one, or one of an earlier
/// format.
fn begin(
    parts: &Parts,
    directory: &Directory,
    base: Box<dyn Base>,
    recovery: Recovery,
    mut report: OpenReport,
) -> Result<Recovered> {
    let applied = base.contents()?.seq;
    if parts.home.has_log() {
        let dir = parts.log.dir.display();
        let gone = format!(
            "all of it is gone. The index has everything up to commit {applied}; what came after is lost"
        );
        match recovery {
            Recovery::Refuse => {
                let why = format!(
                    "{gone}. Put the files back, or restore a backup; `procstate salvage --output NEWDIR` makes a new store of what the index has"
                );
                return Err(Failure::Corrupt { place: format!("log {dir}"), why }.into());
            }
            Recovery::CutLog => drop(report.lost.get_or_insert_with(|| format!("log {dir}: {gone}"))),
        }
    }
    tell(&report);
    base.sync()?;
    // The log alone would not be complete.
    let snapshot = if applied > 0 { parts.snapshots.write(&*base, &|| false)? } else { None };
    let (log, pool) = parts.log.begin_anew(directory, applied)?;
    parts.home.note(applied)?;
    Ok(Recovered { base, log, pool, active: Generation::default(), applied, leftover: 0, snapshot, report })
}

/// Opens the index, or rebuilds it if something is wrong with it.
fn open_base(
    parts: &Parts,
    directory: &Directory,
    snapshot: Option<&Snapshot>,
    witness: &Witness,
    recovery: Recovery,
    report: &mut OpenReport,
) -> Result<Box<dyn Base>> {
    let home = &*parts.home;
    let wrong = match try_open(home, witness)? {
        Ok(base) => return Ok(base),
        Err(wrong) => wrong,
    };
    // What is rebuilt must reach the log, unless that may be cut.
    let log = (recovery == Recovery::Refuse).then_some(directory);
    let kept = rebuild(home, &parts.snapshots, snapshot, log, &wrong)?;
    report.rebuilt = Some(Rebuilt { why: wrong, kept });
    home.open()
}

/// The index, or what is wrong with it.
fn try_open(home: &dyn Home, witness: &Witness) -> Result<Result<Box<dyn Base>, String>> {
    if witness.wants_index() && !home.exists() {
        return Ok(Err("its files are missing".to_owned()));
    }
    let opened = home.open().and_then(|base| {
        let seq = base.contents()?.seq;
        Ok((base, seq))
    });
    match opened {
        Ok((base, seq)) => match witness.why_not_index(seq) {
            None => Ok(Ok(base)),
            Some(why) => base.close().map(|()| Err(why)),
        },
        Err(error) if is_of_the_index(&error) => Ok(Err(crate::error::chain(&error))),
        Err(error) => Err(error),
    }
}

/// Whether another index could do better: not if the disk is full, or files may
/// not be opened.
fn is_of_the_index(error: &Error) -> bool {
    let is_storage = matches!(error.failure(), Failure::Corrupt { .. } | Failure::Storage { .. });
    is_storage && !error.is_of_the_system()
}

/// What is only needed for rebuilding the index, as it was read.
#[derive(Debug)]
struct Copies {
    /// What is wrong with the newest snapshot.
    snapshot: Option<String>,
    /// Where the log ends behind that.
    log: Result<Option<Scan>>,
}

impl Copies {
    /// What is wrong with the log, if it does not lead to what the index has.
    fn wrong_log(&self, witness: &Witness, index: u64) -> Option<String> {
        match &self.log {
            Ok(found) => {
                let harmless = || found.as_ref()?.harmless.clone();
                witness.why_not_log(found.as_ref(), Some(index)).or_else(harmless)
            }
            Err(error) => Some(crate::error::chain(error)),
        }
    }
}

fn read_copies(snapshots: &Snapshots, snapshot: Option<&Snapshot>, log: &Directory) -> Result<Copies> {
    let seq = snapshot.map_or(0, |snapshot| snapshot.seq);
    let read = |snapshot| snapshots.read(snapshot).and_then(archive::Reader::finish).err();
    let snapshot = match snapshot.and_then(read) {
        Some(error) if error.is_of_the_system() => return Err(error),
        error => error.map(|error| crate::error::chain(&error)),
    };
    match scan(log, seq, &mut |_, _| Ok(())) {
        Err(error) if error.is_of_the_system() => Err(error),
        log => Ok(Copies { snapshot, log }),
    }
}

fn panicked(panic: Box<dyn std::any::Any + Send>) -> Error {
    let (place, why) = ("the log or the newest snapshot".to_owned(), crate::error::panic_text(panic));
    Failure::Corrupt { place, why: format!("reading it ended with a panic: {why}") }.into()
}

/// Commits on their way from the log into a memtable, and from there into the index
/// where there are too many.
struct Replay<'a> {
    base: &'a dyn Base,
    active: Generation,
    applied: u64,
    leftover: u64,
    options: &'a Options,
}

impl Replay<'_> {
    fn commit(&mut self, seq: u64, entry: &[u8]) -> Result<()> {
        let Some(Entry { writes, .. }) = wal::decode(entry) else {
            return Err(self.damaged(seq, "its checksum is right and it does not decode"));
        };
        for write in writes {
            if let Some(replaces) = write.replaces {
                self.check_succession(seq, &write.key, replaces)?;
            }
            self.active.put(&write.key, seq, write.payload, write.replaces);
        }
        if self.active.bytes() >= self.options.checkpoint_bytes() {
            let (from, leftover) = (self.applied, self.leftover);
            Checkpoint { generation: &self.active, from, to: seq, leftover, is_alone: &|| true }
                .apply(self.base)?;
            self.active = Generation::default();
            self.applied = seq;
        }
        Ok(())
    }

    /// Each owner record replaces the one before.
    fn check_succession(&self, seq: u64, key: &crate::record::Key, replaces: u64) -> Result<()> {
        let Some(before) = self.active.get(key) else { return Ok(()) };
        if before.seq == seq || before.version().unwrap_or(0) == replaces {
            return Ok(());
        }
        Err(self.damaged(seq, "it replaces an owner that was not there"))
    }

    fn damaged(&self, seq: u64, why: &str) -> Error {
        Failure::Corrupt { place: format!("commit {seq} in the log"), why: why.to_owned() }.into()
    }
}

fn torn_tail(found: &Scan) -> Option<TornTail> {
    found.torn.map(|newest| TornTail { kept: found.last_seq, newest })
}

fn tell(report: &OpenReport) {
    if let Some(rebuilt) = &report.rebuilt {
        let kept = rebuilt.kept.as_ref().map_or("nothing".into(), |kept| kept.display().to_string());
        tracing::warn!(why = %rebuilt.why, %kept, "the index was rebuilt from snapshot and log");
    }
    if let Some(torn) = &report.torn_tail {
        tracing::warn!(
            kept = torn.kept,
            newest = torn.newest,
            "the log had a torn tail: commits that were not synced are gone"
        );
    }
    if let Some(lost) = &report.lost {
        tracing::error!(%lost, "the log was cut where it is damaged");
    }
    if let Some(damage) = &report.damaged_snapshot {
        tracing::warn!(%damage, "the newest snapshot is damaged; another is written");
    }
    if let Some(damage) = &report.damaged_log {
        tracing::warn!(%damage, "a part of the log is damaged that the index does not need");
    }
    if report.replayed > 0 {
        tracing::info!(commits = report.replayed, "commits were replayed from the log");
    }
}
