//! Opens a store: decides, rebuilds the index if necessary, and continues the log.

use std::sync::Arc;

use super::gather::{StoreFacts, gather};
use super::policy::{LogFault, OpenPlan, Verdict, judge};
use super::rebuild::rebuild;
use super::replay::{Replayed, replay};
use crate::engine::durable::checkpoint::Checkpoint;
use crate::engine::durable::memtable::Generation;
use crate::engine::durable::options::{Options, Verify};
use crate::engine::durable::report::{OpenReport, Rebuilt, TornTail};
use crate::engine::durable::storage::{IndexBackend, Snapshot, StoreFiles};
use crate::engine::durable::wal::{self, Log, LogEnd, Pool, SegmentDirectory};
use crate::error::{Error, Failure, Result};
use crate::folder::{Synced, SyncedNote};
use crate::record::Position;

/// A store that was opened.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) index: Box<dyn IndexBackend>,
    pub(crate) log: Log,
    pub(crate) pool: Arc<Pool>,
    /// The commits that the index lacks.
    pub(crate) unapplied: Generation,
    /// The last commit in the index.
    pub(crate) applied: u64,
    /// The commit up to which an interrupted checkpoint may have left changes.
    pub(crate) leftover: u64,
    pub(crate) snapshot: Option<Snapshot>,
    pub(crate) synced: SyncedNote,
    pub(crate) report: OpenReport,
}

/// Opens the store, and verifies all of it first if `verify` says so.
///
/// If it is to be verified later, this fails where it would replace one of its copies by another that
/// is not verified.
pub(crate) fn recover(files: &StoreFiles, options: &Options, verify: Verify) -> Result<Recovered> {
    files.log.tidy()?;
    files.snapshots.tidy()?;
    let directory = files.log.load()?;
    let StoreFacts { facts, newest, index, synced } = gather(files, &directory, verify)?;
    let Verdict { opens, index: index_fault, .. } = judge(&facts, options.recovery);
    let plan = opens.map_err(|refusal| refusal.into_error(&files.log.dir))?;
    let mut report = found(&plan);
    if verify == Verify::InBackground && (index_fault.is_err() || needs_snapshot(&plan, &report)) {
        index.map_or(Ok(()), IndexBackend::close)?;
        let why = "a part of it has to be replaced".to_owned();
        return Err(Failure::Corrupt { place: files.log.dir.display().to_string(), why }.into());
    }
    let index = match (index, &index_fault) {
        (Some(index), Ok(_)) => index,
        (index, fault) => {
            index.map_or(Ok(()), IndexBackend::close)?;
            let why = fault.as_ref().err().map(ToString::to_string).or(facts.index.err()).unwrap_or_default();
            let kept = rebuild(&*files.index_dir, &files.snapshots, newest.as_ref(), &why)?;
            report.rebuilt = Some(Rebuilt { why, kept });
            files.index_dir.open(verify == Verify::BeforeOpening)?
        }
    };
    let synced = match synced.position() {
        // The user requested the truncation. It may happen from now on, and the program may die in
        // between.
        Some(noted) if noted.seq > plan.last_seq() => {
            Note::Reset(files.synced.open(&synced, Position::default(), files.log.epoch)?)
        }
        _ => Note::Found(synced),
    };
    let opener = Opener { files, directory, index, synced, report };
    match plan.log {
        None => opener.begin_log(),
        Some(end) => opener.resume_log(&end, newest, options.checkpoint_bytes()),
    }
}

/// Reports whether opening writes a snapshot, which replaces the log before it.
fn needs_snapshot(plan: &OpenPlan, report: &OpenReport) -> bool {
    let begins_log = plan.log.is_none() && plan.applied > 0;
    begins_log || *report != OpenReport::default()
}

/// Returns the report for the plan.
fn found(plan: &OpenPlan) -> OpenReport {
    OpenReport {
        lost: plan.lost.as_ref().map(LogFault::loss),
        damaged_log: plan.damaged_log.as_ref().map(ToString::to_string),
        damaged_snapshot: plan.damaged_snapshot.clone(),
        damaged_synced: plan.damaged_synced.clone(),
        ..OpenReport::default()
    }
}

/// An opening in progress.
struct Opener<'a> {
    files: &'a StoreFiles,
    directory: SegmentDirectory,
    index: Box<dyn IndexBackend>,
    synced: Note,
    report: OpenReport,
}

/// The state of the SYNCED file.
enum Note {
    Found(Synced),
    /// Reset, to record nothing as synced.
    Reset(SyncedNote),
}

impl Note {
    /// Opens the file, and records that the log is synced up to `position`.
    fn open(self, files: &StoreFiles, position: Position) -> Result<SyncedNote> {
        match self {
            Self::Found(found) => files.synced.open(&found, position, files.log.epoch),
            Self::Reset(mut note) => note.write(position).map(|()| note),
        }
    }
}

impl Opener<'_> {
    /// Replays what the index lacks into the memtable, and continues at the end of the log.
    fn resume_log(
        mut self,
        end: &LogEnd,
        newest: Option<Snapshot>,
        checkpoint_bytes: usize,
    ) -> Result<Recovered> {
        let (files, index) = (self.files, &*self.index);
        let from = index.contents()?.position();
        let end = &end.clone().knowing(from);
        wal::repair(&self.directory, files.log.store, end)?;
        // The repair erased everything that is not part of the log.
        self.directory = files.log.load()?;
        let Replayed { unapplied, applied } = replay(&self.directory, end, index, from, checkpoint_bytes)?;
        self.report.replayed = end.last_seq - from.seq;
        self.report.torn_tail = end.torn.map(|newest| TornTail { kept: end.last_seq, newest });
        self.report.log();
        let leftover = end.last_seq;
        if self.report.damaged_log.is_some() {
            let (generation, from, to) = (&unapplied, applied.seq, end.last());
            Checkpoint { generation, from, to, leftover, is_alone: &|| true }.apply(index)?;
            return self.begin_log_behind_damage();
        }
        let snapshot = match self.report.damaged_snapshot {
            Some(_) => files.snapshots.write(index, &|| false).map_err(Error::before_writing)?,
            None => newest,
        };
        let (log, pool) = files.log.resume(&self.directory, end)?;
        let synced = self.synced.open(files, end.last())?;
        files.index_dir.note(applied, files.writers(end.last()))?;
        let Self { index, report, .. } = self;
        let applied = applied.seq;
        Ok(Recovered { index, log, pool, unapplied, applied, leftover, snapshot, synced, report })
    }

    /// Starts a new log when a damaged part of the old one is in the index: writes a snapshot of
    /// the index, and continues in a new segment. The damaged part is removed.
    fn begin_log_behind_damage(self) -> Result<Recovered> {
        let Self { files, directory, index, synced, report } = self;
        let position = index.contents()?.position();
        let snapshot = files.snapshots.write(&*index, &|| false).map_err(Error::before_writing)?;
        let synced = synced.open(files, position)?;
        files.index_dir.note(position, files.writers(position))?;
        let (log, pool) = files.log.begin_anew(&directory, position)?;
        let (unapplied, applied) = (Generation::default(), position.seq);
        Ok(Recovered { index, log, pool, unapplied, applied, leftover: 0, snapshot, synced, report })
    }

    /// Starts a log for a store without one: a new store, one of an earlier format, or one whose
    /// log may be truncated.
    fn begin_log(self) -> Result<Recovered> {
        let Self { files, directory, index, synced, report } = self;
        let position = index.contents()?.position();
        report.log();
        index.sync()?;
        // The log alone would be incomplete.
        let snapshot = if position.seq > 0 { files.snapshots.write(&*index, &|| false)? } else { None };
        let (log, pool) = files.log.begin_anew(&directory, position)?;
        let synced = synced.open(files, position)?;
        files.index_dir.note(position, files.writers(position))?;
        let (unapplied, applied) = (Generation::default(), position.seq);
        Ok(Recovered { index, log, pool, unapplied, applied, leftover: 0, snapshot, synced, report })
    }
}
