//! Gathers the facts that decide how a store opens. This opens the index, which writes to its files
//! but changes no record.

use crate::archive::{self, Summary};
use crate::engine::durable::open::policy::{Facts, Integrity, MISSING_INDEX, SnapshotFacts};
use crate::engine::durable::options::Verify;
use crate::engine::durable::storage::{IndexBackend, IndexDirectory, Snapshot, Snapshots, StoreFiles};
use crate::engine::durable::wal::{SegmentDirectory, Survey, survey};
use crate::error::{Error, Failure, Result, reason};
use crate::folder::Synced;
use crate::record::Position;

/// The facts, and what was opened to obtain them.
pub(crate) struct StoreFacts {
    pub(crate) facts: Facts,
    /// The newest snapshot by its name.
    pub(crate) newest: Option<Snapshot>,
    pub(crate) index: Option<Box<dyn IndexBackend>>,
    /// The content of SYNCED.
    pub(crate) synced: Synced,
}

/// Gathers the facts: all of them to verify the store before it opens; to verify it later, all but the
/// content of index and snapshot; and otherwise only those without which it does not open.
pub(crate) fn gather(files: &StoreFiles, log: &SegmentDirectory, verify: Verify) -> Result<StoreFacts> {
    let newest = files.snapshots.newest()?;
    let (manifest, synced) = (files.index_dir.manifest()?, files.synced.read()?);
    let noted = manifest.noted();
    let wants_index = noted.is_some() || newest.is_some();
    let index_dir = &*files.index_dir;
    let (index, copies) = std::thread::scope(|scope| {
        // This takes as long as reading the whole index.
        let read = || match verify {
            Verify::InBackground => skim_copies(&files.snapshots, newest.as_ref(), log),
            _ => read_copies(&files.snapshots, newest.as_ref(), log),
        };
        let copies = (verify != Verify::Never).then(|| scope.spawn(read));
        let index = open_index(index_dir, wants_index, verify == Verify::BeforeOpening);
        (index, copies.map(|copies| copies.join().map_err(panicked).flatten()))
    });
    let (index, position) = match index? {
        Ok((index, position)) => (Some(index), Ok(position)),
        Err(wrong) => (None, Err(wrong)),
    };
    let (survey, soundness, in_snapshot) = match copies {
        Some(copies) => copies?,
        None => {
            let snapshot = newest.as_ref().map_or(0, |newest| newest.seq);
            let held = noted.map_or(0, |noted| noted.seq).max(snapshot);
            // Only what the index lacks, unless opening will not use that index.
            let index = position.as_ref().ok().filter(|index| index.seq >= held);
            (survey(log, index.map_or(snapshot, |index| index.seq))?, Integrity::Unchecked, None)
        }
    };
    let snapshot = newest.as_ref().map(|newest| {
        let position = in_snapshot.unwrap_or(Position::new(newest.seq, None));
        SnapshotFacts { position, soundness }
    });
    let snapshots = snapshot.into_iter().collect();
    let facts = Facts { snapshots, index: position, log: Ok(survey), ..Facts::noted(Ok(&manifest), &synced) };
    Ok(StoreFacts { facts, newest, index, synced })
}

type OpenIndex = (Box<dyn IndexBackend>, Position);

/// Opens the index if `is_wanted`; the inner error is its damage.
fn open_index(
    index_dir: &dyn IndexDirectory,
    is_wanted: bool,
    verify: bool,
) -> Result<Result<OpenIndex, String>> {
    if is_wanted && !index_dir.exists() {
        return Ok(Err(MISSING_INDEX.to_owned()));
    }
    let opened = index_dir.open(verify).and_then(|index| {
        let position = index.contents()?.position();
        Ok((index, position))
    });
    match opened {
        Ok(opened) => Ok(Ok(opened)),
        Err(error) if is_damage(&error) => Ok(Err(reason(&error))),
        Err(error) => Err(error),
    }
}

/// Reports whether a rebuild would help; it would not for a full disk or denied access.
pub(super) fn is_damage(error: &Error) -> bool {
    let is_storage = matches!(error.failure(), Failure::Corrupt { .. } | Failure::Storage { .. });
    is_storage && !error.is_of_the_system()
}

/// The log after the newest snapshot, and whether that is intact, with its position, as far as known.
type Copies = (Survey, Integrity, Option<Position>);

/// Reads the newest snapshot and the log after it, from which the index can be rebuilt.
fn read_copies(snapshots: &Snapshots, newest: Option<&Snapshot>, log: &SegmentDirectory) -> Result<Copies> {
    let read = |snapshot| snapshots.read(snapshot).and_then(archive::Reader::finish);
    let read = newest.map(read).transpose();
    copies(newest, read.map(|summary| (Integrity::Intact, summary)), log)
}

/// Reads the log after the newest snapshot, and only the position of the snapshot itself.
fn skim_copies(snapshots: &Snapshots, newest: Option<&Snapshot>, log: &SegmentDirectory) -> Result<Copies> {
    let read = |snapshot| snapshots.read(snapshot).map(|reader| reader.summary());
    let read = newest.map(read).transpose();
    copies(newest, read.map(|summary| (Integrity::Unchecked, summary)), log)
}

fn copies(
    newest: Option<&Snapshot>,
    read: Result<(Integrity, Option<Summary>)>,
    log: &SegmentDirectory,
) -> Result<Copies> {
    let (soundness, summary) = match read {
        Err(error) if error.is_of_the_system() => return Err(error),
        Err(error) => (Integrity::Damaged(reason(&error)), None),
        Ok(read) => read,
    };
    let survey = survey(log, newest.map_or(0, |newest| newest.seq))?;
    Ok((survey, soundness, summary.map(|summary| summary.position())))
}

pub(super) fn panicked(panic: Box<dyn std::any::Any + Send>) -> Error {
    tracing::debug!(why = crate::error::panic_text(panic), "reading panicked");
    let place = "the log or the newest snapshot".to_owned();
    Failure::Corrupt { place, why: "its content is inconsistent".to_owned() }.into()
}
