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
use super::wal::{self, Directory, Entry, Epochs, Files, Log, Pool, Scan, scan, scan_up_to_damage};
use super::witness::Witness;
use crate::archive;
use crate::error::{Error, Failure, Result, reason};
use crate::folder::{SyncedFile, SyncedNote};
use crate::record::Position;

/// The parts of a store on disk.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) home: Arc<dyn Home>,
    pub(crate) log: Files,
    pub(crate) synced: SyncedFile,
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
    pub(crate) synced: SyncedNote,
    pub(crate) report: OpenReport,
}

pub(crate) fn recover(parts: &Parts, options: &Options) -> Result<Recovered> {
    parts.log.disk.create_dir(&parts.log.dir)?;
    parts.snapshots.tidy()?;
    let snapshot = parts.snapshots.newest()?;
    let synced = parts.synced.read()?;
    let witness = Witness::new(parts.home.noted(), synced.position(), snapshot.as_ref());
    let directory = parts.log.load()?;
    let damaged_synced = synced.wrong().filter(|_| parts.home.has_synced());
    let mut report = OpenReport { damaged_synced, ..OpenReport::default() };
    let (base, copies) = read_all(parts, &directory, snapshot.as_ref(), &witness, options, &mut report);
    let base = base?;
    let position = base.contents()?.position();
    let applied = position.seq;
    let found = match find_end(&directory, applied, options.recovery, &mut report)? {
        Some(found) => found,
        None => return begin(parts, &directory, base, options.recovery, report),
    };
    check_end(parts, &witness, &found, position, options.recovery, &mut report)?;
    report.damaged_log.clone_from(&found.harmless);
    if let Some(copies) = copies.transpose()? {
        let wrong = || copies.wrong_log(&witness, position);
        report.damaged_log = report.damaged_log.or_else(wrong);
        report.damaged_snapshot = copies.snapshot;
    }
    if synced.position().is_some_and(|synced| synced.seq > found.last_seq) {
        // By the will of the user: the log may be cut now, and a program die on the way.
        parts.synced.open(Position::default())?;
    }
    wal::repair(&directory, &found)?;
    let (active, applied_now) = replay(parts, &*base, position, &found, options)?;
    let (leftover, end) = (found.last_seq, found.epochs.at(found.last_seq));
    report.replayed = found.last_seq - applied;
    report.torn_tail = torn_tail(&found);
    tell(&report);
    if report.damaged_log.is_some() {
        let (generation, from, to) = (&active, applied_now.seq, end);
        Checkpoint { generation, from, to, leftover, is_alone: &|| true }.apply(&*base)?;
        return begin_behind_damage(parts, &directory, base, report);
    }
    let snapshot = match report.damaged_snapshot {
        Some(_) => parts.snapshots.write(&*base, &|| false).map_err(Error::before_writing)?,
        None => snapshot,
    };
    let (log, pool) = parts.log.resume(&directory, &found)?;
    let synced = parts.synced.open(end)?;
    parts.home.note(applied_now)?;
    let applied = applied_now.seq;
    Ok(Recovered { base, log, pool, active, applied, leftover, snapshot, synced, report })
}

/// Reads what the log has behind `applied`, which the index has. Answers what is to go into
/// the index, and what that has by then.
fn replay(
    parts: &Parts,
    base: &dyn Base,
    applied: Position,
    found: &Scan,
    options: &Options,
) -> Result<(Generation, Position)> {
    let (active, leftover) = (Generation::default(), found.last_seq);
    let mut replay = Replay { base, active, applied, leftover, found, options };
    // What was damaged is cut off by now.
    scan(&parts.log.load()?, applied.seq, &mut |seq, entry| replay.commit(seq, entry))?;
    Ok((replay.active, replay.applied))
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
    let position = base.contents()?.position();
    let snapshot = parts.snapshots.write(&*base, &|| false).map_err(Error::before_writing)?;
    let synced = parts.synced.open(position)?;
    parts.home.note(position)?;
    let (log, pool) = parts.log.begin_anew(directory, position)?;
    let (active, applied) = (Generation::default(), position.seq);
    Ok(Recovered { base, log, pool, active, applied, leftover: 0, snapshot, synced, report })
}

/// Fails if the log that was found is another, or leads to less, than what is noted of it
/// says; less may be if it may be cut.
fn check_end(
    parts: &Parts,
    witness: &Witness,
    found: &Scan,
    index: Position,
    recovery: Recovery,
    report: &mut OpenReport,
) -> Result<()> {
    let refused = |why: &str| -> Error {
        let (place, why) = (format!("log {}", parts.log.dir.display()), format!("{why}. {ADVICE}"));
        Failure::Corrupt { place, why }.into()
    };
    if let Some(why) = witness.why_other_log(found, Some(index)) {
        return Err(refused(&why));
    }
    let Some(why) = witness.why_short_log(found, None) else { return Ok(()) };
    match recovery {
        Recovery::Refuse => return Err(refused(&why)),
        Recovery::CutLog => drop(report.lost.get_or_insert(format!("the log: {why}"))),
    }
    Ok(())
}

/// What to do about a log that is not the right one.
const ADVICE: &str = "Nothing was changed. Put the right files back, or restore a backup; `procstate verify` tells what is wrong, and `procstate salvage --output NEWDIR` makes a new store of all that can still be read";

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
    let position = base.contents()?.position();
    let applied = position.seq;
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
    let (log, pool) = parts.log.begin_anew(directory, position)?;
    let synced = parts.synced.open(position)?;
    parts.home.note(position)?;
    let active = Generation::default();
    Ok(Recovered { base, log, pool, active, applied, leftover: 0, snapshot, synced, report })
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
    let wrong = match try_open(home, directory, witness)? {
        Ok(base) => return Ok(base),
        Err(wrong) => wrong,
    };
    // What is rebuilt must reach the log, unless that may be cut.
    let log = (recovery == Recovery::Refuse).then_some((directory, witness));
    let kept = rebuild(home, &parts.snapshots, snapshot, log, &wrong)?;
    report.rebuilt = Some(Rebuilt { why: wrong, kept });
    home.open()
}

/// The index, or what is wrong with it.
fn try_open(
    home: &dyn Home,
    directory: &Directory,
    witness: &Witness,
) -> Result<Result<Box<dyn Base>, String>> {
    if witness.wants_index() && !home.exists() {
        return Ok(Err("its files are missing".to_owned()));
    }
    let opened = home.open().and_then(|base| {
        let position = base.contents()?.position();
        Ok((base, position))
    });
    match opened {
        Ok((base, position)) => {
            match witness.why_not_index(position, &epochs_from(directory, position.seq)) {
                None => Ok(Ok(base)),
                Some(why) => base.close().map(|()| Err(why)),
            }
        }
        Err(error) if is_of_the_index(&error) => Ok(Err(reason(&error))),
        Err(error) => Err(error),
    }
}

/// By whom the commits are from `seq` on, as far as the log tells; whether it is sound is
/// judged elsewhere.
fn epochs_from(directory: &Directory, seq: u64) -> Epochs {
    let found = scan(directory, seq, &mut |_, _| Ok(()));
    found.ok().flatten().map(|found| found.epochs).unwrap_or_default()
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
    fn wrong_log(&self, witness: &Witness, index: Position) -> Option<String> {
        match &self.log {
            Ok(found) => {
                let harmless = || found.as_ref()?.harmless.clone();
                witness.why_not_log(found.as_ref(), Some(index)).or_else(harmless)
            }
            Err(error) => Some(reason(error)),
        }
    }
}

fn read_copies(snapshots: &Snapshots, snapshot: Option<&Snapshot>, log: &Directory) -> Result<Copies> {
    let seq = snapshot.map_or(0, |snapshot| snapshot.seq);
    let read = |snapshot| snapshots.read(snapshot).and_then(archive::Reader::finish).err();
    let snapshot = match snapshot.and_then(read) {
        Some(error) if error.is_of_the_system() => return Err(error),
        error => error.map(|error| reason(&error)),
    };
    match scan(log, seq, &mut |_, _| Ok(())) {
        Err(error) if error.is_of_the_system() => Err(error),
        log => Ok(Copies { snapshot, log }),
    }
}

fn panicked(panic: Box<dyn std::any::Any + Send>) -> Error {
    tracing::debug!(why = crate::error::panic_text(panic), "reading ended with a panic");
    let place = "the log or the newest snapshot".to_owned();
    Failure::Corrupt { place, why: "what stands there cannot be made sense of".to_owned() }.into()
}

/// Commits on their way from the log into a memtable, and from there into the index
/// where there are too many.
struct Replay<'a> {
    base: &'a dyn Base,
    active: Generation,
    applied: Position,
    leftover: u64,
    found: &'a Scan,
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
            let (from, to, leftover) = (self.applied.seq, self.found.epochs.at(seq), self.leftover);
            Checkpoint { generation: &self.active, from, to, leftover, is_alone: &|| true }
                .apply(self.base)?;
            self.active = Generation::default();
            self.applied = to;
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
    if let Some(damage) = &report.damaged_synced {
        tracing::warn!(%damage, "SYNCED, which notes how far the log is durable, is written anew");
    }
    if let Some(damage) = &report.damaged_log {
        tracing::warn!(%damage, "a part of the log is damaged that the index does not need");
    }
    if report.replayed > 0 {
        tracing::info!(commits = report.replayed, "commits were replayed from the log");
    }
}
