//! The parts of a store, and what of each can be used.

use std::path::{Path, PathBuf};

use super::offline::Offline;
use super::options::{Meter, bytes_of};
use super::scratch::IndexCopy;
use crate::archive::Summary;
use crate::engine::wal::{Directory, Scan, scan};
use crate::engine::{Snapshot, Witness};
use crate::error::{Error, Failure, Result, chain};
use crate::folder::Manifest;
use crate::index::of_another_store;

/// All parts of a store, whatever is wrong with them.
pub(super) struct Parts {
    /// Or what is wrong with it.
    pub(super) manifest: Result<Manifest, String>,
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
        Ok(Self { manifest, snapshots, log, readable_log, wrong_log_files, index })
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
        let copies = self.copies(&behind_snapshot, index.as_ref().ok().copied());
        let scanned = match &index {
            Ok(applied) => self.scan_after(*applied),
            Err(_) => behind_snapshot,
        };
        let opens = match &self.manifest {
            Err(why) => Err(format!("MANIFEST: {why}")),
            Ok(_) if index.is_err() && copies.is_err() => copies.clone(),
            Ok(_) => match &scanned {
                Ok(None) if self.has_log() => Err("all of the log is gone".to_owned()),
                Ok(_) => Ok(()),
                Err(why) => Err(why.clone()),
            },
        };
        let end = scanned.ok().flatten();
        Verdict { opens, index, copies, end }
    }

    fn witness(&self) -> Witness {
        let noted = self.manifest.as_ref().map_or(Some(0), |manifest| manifest.index_seq);
        Witness::new(noted, self.newest_snapshot().map(|newest| &newest.snapshot))
    }

    /// The commit up to which the index has everything, or why opening does not take
    /// it.
    pub(super) fn index_for_opening(&self) -> Result<u64, String> {
        let witness = self.witness();
        match &self.index {
            // Its creation was interrupted: it is created again.
            _ if !witness.wants_index() => Ok(0),
            Ok(copy) => witness.why_not_index(copy.contents.seq).map_or(Ok(copy.contents.seq), Err),
            Err(why) => Err(why.clone()),
        }
    }

    /// Whether the `index`, if it can be used, could be rebuilt from the newest snapshot and
    /// what the log has behind it; or another one.
    fn copies(
        &self,
        behind_snapshot: &Result<Option<Scan>, String>,
        index: Option<u64>,
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

/// What is wrong, without the advice that goes with an error of opening.
fn reason(error: &Error) -> String {
    match error.failure() {
        Failure::LogDamaged { path, offset, why, first, last } => {
            format!(
                "{} at byte {offset}: {why}; commits {first} to {last} at least are needed",
                path.display()
            )
        }
        Failure::Corrupt { place, why } => format!("{place}: {why}"),
        _ => chain(error),
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
