//! The files of a closed store, and the facts that decide what it opens to.

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

/// The state in which a store was found, however damaged.
pub(crate) struct Inspection {
    pub(crate) facts: Facts,
    /// The snapshot files, in the order of the facts.
    pub(crate) snapshots: Vec<Snapshot>,
    /// The readable part of the log.
    pub(crate) readable_log: SegmentDirectory,
    /// The damaged files of the log, with the reason.
    pub(crate) wrong_log_files: Vec<(PathBuf, String)>,
    /// A copy of the index, if it is intact.
    pub(crate) index: Option<IndexCopy>,
    /// Whether the store that the files belong to is certain.
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

    /// Returns the newest snapshot by name, intact or not; opening looks at no other.
    pub(crate) fn newest_snapshot(&self) -> Option<(&Snapshot, &Integrity)> {
        let soundness = self.facts.snapshots.iter().map(|snapshot| &snapshot.soundness);
        self.snapshots.iter().zip(soundness).next()
    }

    /// Returns the snapshots, newest first, each with whether it is intact.
    pub(crate) fn archives(&self) -> impl Iterator<Item = (&Snapshot, bool)> {
        let is_sound = self.facts.snapshots.iter().map(|found| found.soundness == Integrity::Intact);
        self.snapshots.iter().zip(is_sound)
    }

    /// Returns the last commit in the newest snapshot, 0 without one.
    pub(crate) fn snapshot_seq(&self) -> u64 {
        self.snapshots.first().map_or(0, |newest| newest.seq)
    }

    /// Reports whether the store has a log according to its manifest.
    pub(crate) fn has_log(&self) -> bool {
        self.facts.manifest.as_ref().map_or(true, |noted| noted.must_have_log)
    }

    /// Reports whether the log belongs to another history of the store, that of a copy.
    pub(crate) fn is_other_log(&self) -> bool {
        self.facts.log.as_ref().is_ok_and(|log| other_history(&self.facts, log).is_some())
    }

    /// Reports whether the index belongs to another history.
    pub(crate) fn is_other_index(&self) -> bool {
        matches!(self.judge().index, Err(IndexFault::OtherHistory { .. }))
    }

    /// Decides what opening the store results in.
    pub(crate) fn judge(&self) -> Verdict {
        judge(&self.facts, Recovery::Refuse)
    }
}

fn manifest(store: &Offline) -> Result<Result<Manifest, String>> {
    match store.closed.manifest() {
        Ok(Some(manifest)) => Ok(Ok(manifest)),
        Ok(None) => Ok(Err("it is missing".to_owned())),
        // This version or this user cannot examine anything else.
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
