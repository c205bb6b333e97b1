//! Opening: from what the files hold to a log that goes on, a memtable and an
//! index.

use std::sync::Arc;

use super::base::Base;
use super::checkpoint::Checkpoint;
use super::gather::{Gathered, gather};
use super::memtable::Generation;
use super::options::Options;
use super::parts::Parts;
use super::rebuild::rebuild;
use super::report::{OpenReport, Rebuilt, TornTail};
use super::snapshots::Snapshot;
use super::verdict::{LogFault, judge};
use super::wal::{self, Directory, Entry, Log, LogEnd, Pool, read_behind};
use crate::error::{Error, Failure, Result};
use crate::folder::SyncedNote;
use crate::record::Position;

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
    let directory = parts.log.load()?;
    let Gathered { facts, newest, index } = gather(parts, &directory, options)?;
    let verdict = judge(&facts, options.recovery);
    let opening = verdict.opens.map_err(|refusal| refusal.into_error(&parts.log.dir))?;
    let mut report = OpenReport {
        lost: opening.lost.as_ref().map(LogFault::loss),
        damaged_log: opening.damaged_log.as_ref().map(ToString::to_string),
        damaged_snapshot: opening.damaged_snapshot.clone(),
        damaged_synced: opening.damaged_synced.clone(),
        ..OpenReport::default()
    };
    let base = match (index, &verdict.index) {
        (Some(index), Ok(_)) => index,
        (index, fault) => {
            index.map_or(Ok(()), Base::close)?;
            let why = fault.as_ref().err().map(ToString::to_string).or(facts.index.err()).unwrap_or_default();
            let kept = rebuild(&*parts.home, &parts.snapshots, newest.as_ref(), &why)?;
            report.rebuilt = Some(Rebuilt { why, kept });
            parts.home.open()?
        }
    };
    if facts
        .synced
        .is_some_and(|synced| synced.seq > opening.log.as_ref().map_or(opening.applied, |end| end.last_seq))
    {
        // By the will of the user: the log may be cut now, and a program die on the way.
        parts.synced.open(Position::default(), parts.log.epoch)?;
    }
    match opening.log {
        None => begin(parts, &directory, base, report),
        Some(end) => go_on(parts, options, Found { directory, base, end, newest }, report),
    }
}

/// What opening goes on with.
struct Found {
    directory: Directory,
    base: Box<dyn Base>,
    end: LogEnd,
    newest: Option<Snapshot>,
}

/// Puts into the memtable what the log has and the index has not, and goes on where it ends.
fn go_on(parts: &Parts, options: &Options, found: Found, mut report: OpenReport) -> Result<Recovered> {
    let Found { directory, base, end, newest } = found;
    let applied = base.contents()?.position();
    wal::repair(&directory, &end)?;
    let leftover = end.last_seq;
    let active = Generation::default();
    let mut replay = Replay { base: &*base, active, applied, leftover, end: &end, options };
    // What was damaged is cut off by now.
    read_behind(&parts.log.load()?, applied.seq, &mut |seq, entry| replay.commit(seq, entry))?;
    let (active, applied_now) = (replay.active, replay.applied);
    report.replayed = end.last_seq - applied.seq;
    report.torn_tail = end.torn.map(|newest| TornTail { kept: end.last_seq, newest });
    tell(&report);
    if report.damaged_log.is_some() {
        let (generation, from, to) = (&active, applied_now.seq, end.last());
        Checkpoint { generation, from, to, leftover, is_alone: &|| true }.apply(&*base)?;
        return begin_behind_damage(parts, &directory, base, report);
    }
    let snapshot = match report.damaged_snapshot {
        Some(_) => parts.snapshots.write(&*base, &|| false).map_err(Error::before_writing)?,
        None => newest,
    };
    let (log, pool) = parts.log.resume(&directory, &end)?;
    let synced = parts.synced.open(end.last(), parts.log.epoch)?;
    parts.home.note(applied_now, parts.writers(end.last()))?;
    let applied = applied_now.seq;
    Ok(Recovered { base, log, pool, active, applied, leftover, snapshot, synced, report })
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
    let synced = parts.synced.open(position, parts.log.epoch)?;
    parts.home.note(position, parts.writers(position))?;
    let (log, pool) = parts.log.begin_anew(directory, position)?;
    let (active, applied) = (Generation::default(), position.seq);
    Ok(Recovered { base, log, pool, active, applied, leftover: 0, snapshot, synced, report })
}

/// Begins the log of a store that has none: a new one, or one of an earlier format; or one
/// of which it may be lost.
fn begin(parts: &Parts, directory: &Directory, base: Box<dyn Base>, report: OpenReport) -> Result<Recovered> {
    let position = base.contents()?.position();
    let applied = position.seq;
    tell(&report);
    base.sync()?;
    // The log alone would not be complete.
    let snapshot = if applied > 0 { parts.snapshots.write(&*base, &|| false)? } else { None };
    let (log, pool) = parts.log.begin_anew(directory, position)?;
    let synced = parts.synced.open(position, parts.log.epoch)?;
    parts.home.note(position, parts.writers(position))?;
    let active = Generation::default();
    Ok(Recovered { base, log, pool, active, applied, leftover: 0, snapshot, synced, report })
}

/// Commits on their way from the log into a memtable, and from there into the index
/// where there are too many.
struct Replay<'a> {
    base: &'a dyn Base,
    active: Generation,
    applied: Position,
    leftover: u64,
    end: &'a LogEnd,
    options: &'a Options,
}

impl Replay<'_> {
    fn commit(&mut self, seq: u64, entry: &[u8]) -> Result<()> {
        let Some(entry) = Entry::decode(entry) else {
            return Err(self.damaged(seq, "its checksum is right and it does not decode"));
        };
        for write in entry.writes() {
            if let Some(replaces) = write.replaces {
                self.check_succession(seq, &write.key, replaces)?;
            }
            self.active.put(&write.key, seq, write.payload, write.replaces);
        }
        if self.active.bytes() >= self.options.checkpoint_bytes() {
            let (from, to, leftover) = (self.applied.seq, self.end.position(seq), self.leftover);
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
