//! What is found of a store, before anybody judges it.

use crate::engine::durable::wal::Survey;
use crate::folder::Synced;
use crate::record::{Epoch, Position, Writers};

/// What the files of a store are. Where one is damaged, what is wrong with it stands in
/// its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) manifest: Result<ManifestFacts, String>,
    /// The newest commit that is noted as synced outside of the log, if one is.
    pub(crate) synced: Option<Position>,
    /// The openings of which that note and the manifest know, each noted before it wrote any
    /// commit. None are known of stores of earlier formats.
    pub(crate) openings: Vec<Epoch>,
    /// What is wrong with that note, if there must be one.
    pub(crate) damaged_synced: Option<String>,
    /// Newest first, by their names.
    pub(crate) snapshots: Vec<SnapshotFacts>,
    /// The commit up to which the index has everything.
    pub(crate) index: Result<Position, String>,
    /// What the log holds; or why its files are not one log.
    pub(crate) log: Result<Survey, String>,
}

/// What a manifest notes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ManifestFacts {
    /// A commit that the index durably had; `None` before the store was completed.
    pub(crate) index: Option<Position>,
    /// Whether there must be a log: not before the store was completed, and not in a store
    /// of an earlier format.
    pub(crate) must_have_log: bool,
}

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SnapshotFacts {
    /// The commit up to which it has everything.
    pub(crate) position: Position,
    pub(crate) soundness: Integrity,
}

/// Whether a file is what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Integrity {
    Intact,
    /// Nobody has read it to its end.
    Unchecked,
    Damaged(String),
}

/// The openings of which MANIFEST and SYNCED know.
pub(crate) fn known_openings(writers: Writers, synced: &Synced) -> Vec<Epoch> {
    [writers.own, writers.found, synced.opening()].into_iter().flatten().collect()
}

impl Facts {
    /// The newest snapshot, sound or not: opening looks at no other.
    pub(super) fn snapshot(&self) -> Option<&SnapshotFacts> {
        self.snapshots.first()
    }

    /// The commit up to which that has everything, 0 if there is none.
    pub(super) fn snapshot_seq(&self) -> u64 {
        self.snapshot().map_or(0, |newest| newest.position.seq)
    }

    /// The commit that the index durably had by the manifest. One that is damaged was that
    /// of a store that had an index.
    pub(super) fn noted(&self) -> Option<Position> {
        self.manifest.as_ref().map_or(Some(Position::default()), |noted| noted.index)
    }
}
