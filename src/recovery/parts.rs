//! The parts of a store, and what of each can be used.

use std::path::{Path, PathBuf};

use super::offline::Offline;
use super::options::{Meter, bytes_of};
use super::scratch::IndexCopy;
use crate::archive::Summary;
use crate::engine::wal::{Directory, Scan, scan};
use crate::engine::{Snapshot, Witness};
use crate::error::{Failure, Result, chain, reason};
use crate::folder::{Manifest, Synced};
use crate::index::of_another_store;
use crate::record::Position;

/// All parts of a store, whatever is wrong with them.
pub(super) struct Parts {
    /// Or what is wrong with it.
    pub(super) manifest: Result<Manifest, String>,
    /// What is noted of how far the log is durable.
    pub(super) synced: Synced,
    /// Newest first.
    pub(super) snapshots: Vec<Archived>,
    /// As opening takes it, or why it does not.
    pub(super) log: Result<Directory, String>,
    /// What of the log can be read.
    pub(super) readable_log: Directory,
    /// Files of the log with which something is wrong.
    pub(super) wrong_log_files: Vec<(PathBuf, String)>,
    /// Or what is wrong with it.
    pub(super) index: Result<IndexCopy, String>,
    /// Whether it is certain whose files these are.
    pub(super) is_identity_certain: bool,
}

/// A snapshot, and what it holds or what is wrong with it.
pub(super) struct Archived {
    pub(super) snapshot: Snapshot,
    pub(super) summary: Result<Summary, String>,
}

impl Parts {
    pub(super) fn read(store: &Offline, scratch: &Path, meter: &Meter<'_>) -> Result<Self> {
        let manifest = match store.closed.manifest() {
            Ok(Some(manifest)) => Ok(manifest),
            Ok(None) => Err("it is missing".to_owned()),
            // Whatever else is wrong, this version, or this user, cannot tell.
            Err(error) if matches!(error.failure(), Failure::NewerFormat { .. }) => return Err(error),
            Err(error) if error.is_of_the_system() => return Err(error),
            Err(error) => Err(chain(&error)),
        };
        let mut snapshots = Vec::new();
        for snapshot in store.snapshots()? {
            let summary = match store.verify_snapshot(&snapshot) {
                Err(error) if error.is_of_the_system() => return Err(error),
                summary => summary.map_err(|error| reason(&error)),
            };
            meter.add(snapshot.bytes);
            snapshots.push(Archived { snapshot, summary });
        }
        let log = match store.log() {
            Err(error) if error.is_of_the_system() => return Err(error),
            log => log.map_err(|error| reason(&error)),
        };
        let (readable_log, wrong_log_files) = store.log_anyhow()?;
        let mut index = IndexCopy::open(&store.closed.layout().index(), scratch)?;
        let of = index.as_ref().ok().and_then(|copy| copy.contents.store);
        let foreign = of.filter(|of| store.id().is_some_and(|own| own != *of));
        if let Some(foreign) = foreign {
            index = Err(of_another_store(foreign));
        }
        meter.add(2 * bytes_of(&store.closed.layout().index().join("db")));
        Ok(Self {
            manifest,
            synced: store.synced()?,
            snapshots,
            log,
            readable_log,
            wrong_log_files,
            index,
            is_identity_certain: store.identity.is_certain,
        })
    }

    /// The newest snapshot by its name, sound or not: opening looks at no other.
    pub(super) fn newest_snapshot(&self) -> Option<&Archived> {
        self.snapshots.first()
    }

    /// The commit up to which the newest snapshot has everything, 0 if there is none.
    pub(super) fn snapshot_seq(&self) -> u64 {
        self.newest_snapshot().map_or(0, |newest| newest.snapshot.seq)
    }

    /// Whether a log belongs to the store, as far as its manifest tells.
    pub(super) fn has_log(&self) -> bool {
        self.manifest.as_ref().map_or(true, Manifest::must_have_log)
    }

    /// What opening the store comes to.
    pub(super) fn judge(&self) -> Verdict {
        let index = self.index_for_opening();
        let behind_snapshot = self.scan_after(self.snapshot_seq());
        let position = index.as_ref().ok().and_then(|_| self.index_position());
        let copies = self.copies(&behind_snapshot, position);
        let scanned = match &index {
            Ok(applied) => self.scan_after(*applied),
            Err(_) => behind_snapshot,
        };
        let opens = match &self.manifest {
            Err(why) => Err(format!("MANIFEST: {why}")),
            Ok(_) if index.is_err() && copies.is_err() => copies.clone(),
            Ok(_) => match &scanned {
                Ok(None) if self.has_log() => Err("all of the log is gone".to_owned()),
                Ok(None) => Ok(()),
                Ok(Some(found)) => self.check_end(found, position),
                Err(why) => Err(why.clone()),
            },
        };
        let end = scanned.ok().flatten();
        Verdict { opens, index, copies, end }
    }

    /// As opening checks it.
    fn check_end(&self, found: &Scan, index: Option<Position>) -> Result<(), String> {
        let witness = self.witness();
        let wrong = witness.why_other_log(found, index).or_else(|| witness.why_short_log(found, None));
        wrong.map_or(Ok(()), |why| Err(format!("the log: {why}")))
    }

    fn index_position(&self) -> Option<Position> {
        self.index.as_ref().ok().map(|copy| copy.contents.position())
    }

    /// What is wrong with the note of what is synced, if there must be one.
    pub(super) fn wrong_synced(&self) -> Option<String> {
        self.synced.wrong().filter(|_| self.manifest.as_ref().is_ok_and(Manifest::must_have_synced))
    }

    fn witness(&self) -> Witness {
        let unknown = Some(Position::default());
        let noted = self.manifest.as_ref().map_or(unknown, Manifest::noted);
        Witness::new(noted, self.synced.position(), self.newest_snapshot().map(|newest| &newest.snapshot))
    }

    /// The commit up to which the index has everything, or why opening does not take
    /// it.
    pub(super) fn index_for_opening(&self) -> Result<u64, String> {
        let witness = self.witness();
        match &self.index {
            // Its creation was interrupted: it is created again.
            _ if !witness.wants_index() => Ok(0),
            Ok(copy) => {
                let position = copy.contents.position();
                let found = self.scan_after(position.seq).ok().flatten();
                let log = found.map(|found| found.epochs).unwrap_or_default();
                witness.why_not_index(position, &log).map_or(Ok(position.seq), Err)
            }
            Err(why) => Err(why.clone()),
        }
    }

    /// Whether the `index`, if it can be used, could be rebuilt from the newest snapshot and
    /// what the log has behind it; or another one.
    fn copies(
        &self,
        behind_snapshot: &Result<Option<Scan>, String>,
        index: Option<Position>,
    ) -> Result<(), String> {
        if let Some(Archived { summary: Err(why), .. }) = self.newest_snapshot() {
            return Err(why.clone());
        }
        let found = behind_snapshot.as_ref().map_err(Clone::clone)?;
        let wrong = self.witness().why_not_log(found.as_ref(), index);
        wrong.map_or(Ok(()), |why| Err(format!("the log: {why}")))
    }

    fn scan_after(&self, known: u64) -> Result<Option<Scan>, String> {
        scan(self.log.as_ref().map_err(Clone::clone)?, known, &mut |_, _| Ok(()))
            .map_err(|error| reason(&error))
    }
}

/// What opening a store comes to.
#[derive(Debug)]
pub(super) struct Verdict {
    /// Or why it fails.
    pub(super) opens: Result<(), String>,
    /// The commit up to which the index has everything, or why it cannot be used.
    pub(super) index: Result<u64, String>,
    /// Whether the index can be rebuilt from snapshot and log, or why not.
    pub(super) copies: Result<(), String>,
    /// Where the log ends that opening would read.
    pub(super) end: Option<Scan>,
}
