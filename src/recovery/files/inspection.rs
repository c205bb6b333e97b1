//! The files of a store that nobody has open, and the facts of which depends what it opens to.

use std::path::{Path, PathBuf};

use super::index_copy::IndexCopy;
use super::offline::Offline;
use crate::engine::policy::{Facts, IndexFault, Integrity, SnapshotFacts, Verdict, judge, other_history};
use crate::engine::wal::{SegmentDirectory, survey};
use crate::engine::{Recovery, Snapshot};
use crate::error::{Failure, Result, chain, reason};
use crate::folder::Manifest;
use crate::index::of_another_store;
use crate::record::Position;
use crate::recovery::options::{Meter, bytes_of};

/// A store as it was found, whatever is wrong with it.
pub(crate) struct Inspection {
    pub(crate) facts: Facts,
    /// The files of the snapshots, in the order of the facts.
    pub(crate) snapshots: Vec<Snapshot>,
    /// What of the log can be read.
    pub(crate) readable_log: SegmentDirectory,
    /// Files of the log with which something is wrong.
    pub(crate) wrong_log_files: Vec<(PathBuf, String)>,
    /// A copy of the index, if it is sound.
    pub(crate) index: Option<IndexCopy>,
    /// Whether it is certain whose files these are.
    pub(crate) is_identity_certain: bool,
}

impl Inspection {
    pub(crate) fn read(store: &Offline, scratch: &Path, meter: &Meter<'_>) -> Result<Self> {
        let manifest = manifest(store)?;
        let snapshots = store.snapshots()?;
        let checked =
            snapshots.iter().map(|snapshot| check(store, snapshot, meter)).collect::<Result<Vec<_>>>()?;
        let newest = snapshots.first().map_or(0, |newest| newest.seq);
        let log = match store.log().and_then(|log| survey(&log, newest)) {
            Err(error) if error.is_of_the_system() => return Err(error),
            log => log.map_err(|error| reason(&error)),
        };
        let (readable_log, wrong_log_files) = store.log_anyhow()?;
        let (index, position) = match index(store, scratch, meter)? {
            Ok(copy) => {
                let position = copy.contents.position();
                (Some(copy), Ok(position))
            }
            Err(why) => (None, Err(why)),
        };
        let synced = store.synced()?;
        let noted = Facts::noted(manifest.as_ref().map_err(Clone::clone), &synced);
        let facts = Facts { snapshots: checked, index: position, log, ..noted };
        let is_identity_certain = store.identity.is_certain;
        Ok(Self { facts, snapshots, readable_log, wrong_log_files, index, is_identity_certain })
    }

    /// The newest snapshot by its name, sound or not: opening looks at no other.
    pub(crate) fn newest_snapshot(&self) -> Option<(&Snapshot, &Integrity)> {
        let soundness = self.facts.snapshots.iter().map(|snapshot| &snapshot.soundness);
        self.snapshots.iter().zip(soundness).next()
    }

    /// The snapshots, newest first, and whether each is sound.
    pub(crate) fn archives(&self) -> impl Iterator<Item = (&Snapshot, bool)> {
        let is_sound = self.facts.snapshots.iter().map(|found| found.soundness == Integrity::Intact);
        self.snapshots.iter().zip(is_sound)
    }

    /// The commit up to which the newest snapshot has everything, 0 if there is none.
    pub(crate) fn snapshot_seq(&self) -> u64 {
        self.snapshots.first().map_or(0, |newest| newest.seq)
    }

    /// Whether a log belongs to the store, as far as its manifest tells.
    pub(crate) fn has_log(&self) -> bool {
        self.facts.manifest.as_ref().map_or(true, |noted| noted.must_have_log)
    }

    /// Whether the log is of another history of the store: that of a copy of it.
    pub(crate) fn is_other_log(&self) -> bool {
        self.facts.log.as_ref().is_ok_and(|log| other_history(&self.facts, log).is_some())
    }

    /// Whether the index is.
    pub(crate) fn is_other_index(&self) -> bool {
        matches!(self.judge().index, Err(IndexFault::OtherHistory { .. }))
    }

    /// What opening the store comes to.
    pub(crate) fn judge(&self) -> Verdict {
        judge(&self.facts, Recovery::Refuse)
    }
}

fn manifest(store: &Offline) -> Result<Result<Manifest, String>> {
    match store.closed.manifest() {
        Ok(Some(manifest)) => Ok(Ok(manifest)),
        Ok(None) => Ok(Err("it is missing".to_owned())),
        // Whatever else is wrong, this version, or this user, cannot tell.
        Err(error) if matches!(error.failure(), Failure::NewerFormat { .. }) => Err(error),
        Err(error) if error.is_of_the_system() => Err(error),
        Err(error) => Ok(Err(chain(&error))),
    }
}

fn check(store: &Offline, snapshot: &Snapshot, meter: &Meter<'_>) -> Result<SnapshotFacts> {
    let unknown = Position::new(snapshot.seq, None);
    let (position, soundness) = match store.verify_snapshot(snapshot) {
        Err(error) if error.is_of_the_system() => return Err(error),
        Err(error) => (unknown, Integrity::Damaged(reason(&error))),
        Ok(summary) => (summary.position(), Integrity::Intact),
    };
    meter.add(snapshot.bytes);
    Ok(SnapshotFacts { position, soundness })
}

fn index(store: &Offline, scratch: &Path, meter: &Meter<'_>) -> Result<Result<IndexCopy, String>> {
    let dir = store.closed.layout().index();
    let copy = IndexCopy::open(&dir, scratch)?;
    meter.add(2 * bytes_of(&dir.join("db")));
    let of = copy.as_ref().ok().and_then(|copy| copy.contents.store);
    let foreign = of.filter(|of| store.id().is_some_and(|own| own != *of));
    Ok(foreign.map_or(copy, |foreign| Err(of_another_store(foreign))))
}
