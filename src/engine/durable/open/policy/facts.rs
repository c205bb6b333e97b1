//! The facts about a store on which opening depends.

use crate::engine::durable::wal::Survey;
use crate::folder::{Manifest, Synced};
use crate::record::{Epoch, Position};

/// What the files of a store hold. For a damaged one, what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) manifest: Result<ManifestFacts, String>,
    /// The newest commit that SYNCED notes as synced.
    pub(crate) synced: Option<Position>,
    /// The openings that SYNCED and the manifest name. Each is noted before it writes any commit.
    /// Stores of earlier formats name none.
    pub(crate) openings: Vec<Epoch>,
    /// What is wrong with SYNCED, if there must be one.
    pub(crate) damaged_synced: Option<String>,
    /// Newest first, by their names.
    pub(crate) snapshots: Vec<SnapshotFacts>,
    /// The commit up to which the index has everything.
    pub(crate) index: Result<Position, String>,
    /// What the log holds, or why its files are not one log.
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

/// Whether a file holds what was written to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Integrity {
    Intact,
    /// It was not read to its end.
    Unchecked,
    Damaged(String),
}

impl Facts {
    /// The facts in MANIFEST and SYNCED. The caller fills in those about snapshots, index and log.
    pub(crate) fn noted(manifest: Result<&Manifest, String>, synced: &Synced) -> Self {
        let writers = manifest.as_ref().map(|manifest| manifest.writers()).unwrap_or_default();
        let must_have_synced = manifest.as_ref().is_ok_and(|manifest| manifest.must_have_synced());
        let noted = |manifest: &Manifest| {
            let (index, must_have_log) = (manifest.noted(), manifest.must_have_log());
            ManifestFacts { index, must_have_log }
        };
        Self {
            manifest: manifest.map(noted),
            synced: synced.position(),
            openings: [writers.own, writers.found, synced.opening()].into_iter().flatten().collect(),
            damaged_synced: synced.wrong().filter(|_| must_have_synced),
            snapshots: Vec::new(),
            index: Err(String::new()),
            log: Ok(Survey::default()),
        }
    }

    /// The newest snapshot, sound or not: opening looks at no other.
    pub(super) fn snapshot(&self) -> Option<&SnapshotFacts> {
        self.snapshots.first()
    }

    /// The commit up to which the newest snapshot has everything, 0 if there is none.
    pub(super) fn snapshot_seq(&self) -> u64 {
        self.snapshot().map_or(0, |newest| newest.position.seq)
    }

    /// The commit that the index durably had, by the manifest. A store whose manifest is damaged
    /// had an index.
    pub(super) fn noted_index(&self) -> Option<Position> {
        self.manifest.as_ref().map_or(Some(Position::default()), |noted| noted.index)
    }
}
