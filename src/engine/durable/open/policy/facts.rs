//! The facts that decide how a store opens.

use crate::engine::durable::wal::Survey;
use crate::folder::{Manifest, Synced};
use crate::record::{Epoch, Position, Writers};

/// The content of a store's files; for damaged ones, the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) manifest: Result<ManifestFacts, String>,
    /// The newest commit that SYNCED records as synced.
    pub(crate) synced: Option<Position>,
    /// The openings in SYNCED and the manifest. Each was recorded before it wrote any commit.
    /// Stores of earlier formats record none.
    pub(crate) openings: Vec<Epoch>,
    /// The damage of SYNCED, if it must exist.
    pub(crate) damaged_synced: Option<String>,
    /// Newest first, by their names.
    pub(crate) snapshots: Vec<SnapshotFacts>,
    /// The last commit in the index.
    pub(crate) index: Result<Position, String>,
    /// The content of the log, or why its files are not one log.
    pub(crate) log: Result<Survey, String>,
}

/// The content of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ManifestFacts {
    /// A commit that the index durably had; `None` before the store was completed.
    pub(crate) index: Option<Position>,
    /// Whether a log must exist: not before the store was completed, nor in a store of an earlier
    /// format.
    pub(crate) must_have_log: bool,
    /// The last two openings at the time.
    pub(crate) writers: Writers,
}

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SnapshotFacts {
    /// The last commit in the snapshot.
    pub(crate) position: Position,
    pub(crate) soundness: Integrity,
}

/// Whether a file is intact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Integrity {
    Intact,
    /// Not read to its end.
    Unchecked,
    Damaged(String),
}

impl Facts {
    /// Returns the facts in MANIFEST and SYNCED; the caller adds those about snapshots, index and
    /// log.
    pub(crate) fn noted(manifest: Result<&Manifest, String>, synced: &Synced) -> Self {
        let writers = manifest.as_ref().map(|manifest| manifest.writers()).unwrap_or_default();
        let must_have_synced = manifest.as_ref().is_ok_and(|manifest| manifest.must_have_synced());
        let noted = |manifest: &Manifest| {
            let (index, must_have_log) = (manifest.noted(), manifest.must_have_log());
            ManifestFacts { index, must_have_log, writers: manifest.writers() }
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

    /// Returns the newest snapshot, intact or not; opening looks at no other.
    pub(super) fn snapshot(&self) -> Option<&SnapshotFacts> {
        self.snapshots.first()
    }

    /// Returns the last commit in the newest snapshot, 0 if there is none.
    pub(super) fn snapshot_seq(&self) -> u64 {
        self.snapshot().map_or(0, |newest| newest.position.seq)
    }

    /// Returns the commit that the index durably had according to the manifest.
    ///
    /// A store with a damaged manifest had an index.
    pub(super) fn noted_index(&self) -> Option<Position> {
        self.manifest.as_ref().map_or(Some(Position::default()), |noted| noted.index)
    }
}
