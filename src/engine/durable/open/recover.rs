//! Opening: from what the files hold to a log that goes on, a memtable and an
//! index.

use std::sync::Arc;

use super::gather::{StoreFacts, gather};
use super::rebuild::rebuild;
use crate::engine::durable::checkpoint::Checkpoint;
use crate::engine::durable::memtable::Generation;
use crate::engine::durable::open::policy::{LogFault, judge};
use crate::engine::durable::options::Options;
use crate::engine::durable::report::{OpenReport, Rebuilt, TornTail};
use crate::engine::durable::storage::{IndexBackend, Snapshot, StoreFiles};
use crate::engine::durable::wal::{self, Entry, Log, LogEnd, Pool, SegmentDirectory, read_behind};
use crate::error::{Error, Failure, Result};
use crate::folder::SyncedNote;
use crate::record::Position;

/// A store that was opened.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) index: Box<dyn IndexBackend>,
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

pub(crate) fn recover(files: &StoreFiles, options: &Options) -> Result<Recovered> {
    files.log.disk.create_dir(&files.log.dir)?;
    files.snapshots.tidy()?;
    let directory = files.log.load()?;
    let StoreFacts { facts, newest, index } = gather(files, &directory, options)?;
    let verdict = judge(&facts, options.recovery);
    let opening = verdict.opens.map_err(|refusal| refusal.into_error(&files.log.dir))?;
    let mut report = OpenReport {
        lost: opening.lost.as_ref().map(LogFault::loss),
        damaged_log: opening.damaged_log.as_ref().map(ToString::to_string),
        damaged_snapshot: opening.damaged_snapshot.clone(),
        damaged_synced: opening.damaged_synced.clone(),
        ..OpenReport::default()
    };
    let index = match (index, &verdict.index) {
        (Some(index), Ok(_)) => index,
        (index, fault) => {
            index.map_or(Ok(()), IndexBackend::close)?;
            let why = fault.as_ref().err().map(ToString::to_string).or(facts.index.err()).unwrap_or_default();
            let kept = rebuild(&*files.index_dir, &files.snapshots, newest.as_ref(), &why)?;
            report.rebuilt = Some(Rebuilt { why, kept });
            files.index_dir.open()?
        }
    };
    if facts
        .synced
        .is_some_and(|synced| synced.seq > opening.log.as_ref().map_or(opening.applied, |end| end.last_seq))
    {
        // By the will of the user: the log may be cut now, and a program die on the way.
        files.synced.open(Position::default(), files.log.epoch)?;
    }
    match opening.log {
        None => begin(files, &directory, index, report),
        Some(end) => go_on(files, options, Found { directory, index, end, newest }, report),
    }
}

/// What opening goes on with.
struct Found {
    directory: SegmentDirectory,
    index: Box<dyn IndexBackend>,
    end: LogEnd,
    newest: Option<Snapshot>,
}

/// Puts into the memtable what the log has and the index has not, and goes on where it ends.
fn go_on(files: &StoreFiles, options: &Options, found: Found, mut report: OpenReport) -> Result<Recovered> {
    let Found { directory, index, end, newest } = found;
    let applied = index.contents()?.position();
    wal::repair(&directory, &end)?;
    let leftover = end.last_seq;
    let active = Generation::default();
    let mut replay = Replay { index: &*index, active, applied, leftover, end: &end, options };
    // What was damaged is cut off by now.
    read_behind(&files.log.load()?, applied.seq, &mut |seq, entry| replay.commit(seq, entry))?;
    let (active, applied_now) = (replay.active, replay.applied);
    report.replayed = end.last_seq - applied.seq;
    report.torn_tail = end.torn.map(|newest| TornTail { kept: end.last_seq, newest });
    tell(&report);
    if report.damaged_log.is_some() {
        let (generation, from, to) = (&active, applied_now.seq, end.last());
        Checkpoint { generation, from, to, leftover, is_alone: &|| true }.apply(&*index)?;
        return begin_behind_damage(files, &directory, index, report);
    }
    let snapshot = match report.damaged_snapshot {
        Some(_) => files.snapshots.write(&*index, &|| false).map_err(Error::before_writing)?,
        None => newest,
    };
    let (log, pool) = files.log.resume(&directory, &end)?;
    let synced = files.synced.open(end.last(), files.log.epoch)?;
    files.index_dir.note(applied_now, files.writers(end.last()))?;
    let applied = applied_now.seq;
    Ok(Recovered { index, log, pool, active, applied, leftover, snapshot, synced, report })
}

/// Goes on where a part of the log is damaged that nobody needs who has `index`: behind a
/// snapshot of that, in a segment of its own. What is damaged is gone then.
fn begin_behind_damage(
    files: &StoreFiles,
    directory: &SegmentDirectory,
    index: Box<dyn IndexBackend>,
    report: OpenReport,
) -> Result<Recovered> {
    let position = index.contents()?.position();
    let snapshot = files.snapshots.write(&*index, &|| false).map_err(Error::before_writing)?;
    let synced = files.synced.open(position, files.log.epoch)?;
    files.index_dir.note(position, files.writers(position))?;
    let (log, pool) = files.log.begin_anew(directory, position)?;
    let (active, applied) = (Generation::default(), position.seq);
    Ok(Recovered { index, log, pool, active, applied, leftover: 0, snapshot, synced, report })
}

/// Begins the log of a store that has none: a new one, or one of an earlier format; or one
/// of which it may be lost.
fn begin(
    files: &StoreFiles,
    directory: &SegmentDirectory,
    index: Box<dyn IndexBackend>,
    report: OpenReport,
) -> Result<Recovered> {
    let position = index.contents()?.position();
    let applied = position.seq;
    tell(&report);
    index.sync()?;
    // The log alone would not be complete.
    let snapshot = if applied > 0 { files.snapshots.write(&*index, &|| false)? } else { None };
    let (log, pool) = files.log.begin_anew(directory, position)?;
    let synced = files.synced.open(position, files.log.epoch)?;
    files.index_dir.note(position, files.writers(position))?;
    let active = Generation::default();
    Ok(Recovered { index, log, pool, active, applied, leftover: 0, snapshot, synced, report })
}

/// Commits on their way from the log into a memtable, and from there into the index
/// where there are too many.
struct Replay<'a> {
    index: &'a dyn IndexBackend,
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
                .apply(self.index)?;
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
