//! The files of a store that nobody has open, sound or not.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::archive::{self, Summary};
use crate::disk::{Disk, ReadOnlyDisk};
use crate::engine::wal::Directory;
use crate::engine::{Snapshot, Snapshots};
use crate::error::{Failure, Result};
use crate::folder::Closed;

/// A store that is only looked at.
#[derive(Debug)]
pub(super) struct Offline {
    pub(super) closed: Closed,
    disk: Arc<dyn Disk>,
}

impl Offline {
    /// Fails if a newer version wrote it: what that means this one cannot tell, whatever
    /// of it can be read.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let store = Self { closed: Closed::open(path)?, disk: Arc::new(ReadOnlyDisk) };
        match store.closed.manifest() {
            Err(error) if matches!(error.failure(), Failure::NewerFormat { .. }) => Err(error),
            // What else is wrong with it is for the caller to say.
            _ => Ok(store),
        }
    }

    /// The id of the store, if its manifest tells.
    pub(super) fn id(&self) -> Option<[u8; 16]> {
        self.closed.manifest().ok()??.id_bytes()
    }

    /// The log as opening takes it, and fails if it may not.
    pub(super) fn log(&self) -> Result<Directory> {
        Directory::load(self.disk.clone(), &self.closed.layout().wal(), self.id().unwrap_or_default())
    }

    /// All of the log that can be read, and the files of it that are not as they
    /// should be, with what is wrong with them.
    pub(super) fn log_anyhow(&self) -> Result<(Directory, Vec<(PathBuf, String)>)> {
        Directory::salvage(self.disk.clone(), &self.closed.layout().wal(), self.id())
    }

    /// The snapshots, newest first.
    pub(super) fn snapshots(&self) -> Result<Vec<Snapshot>> {
        self.snapshots_of(self.id().unwrap_or_default()).list()
    }

    fn snapshots_of(&self, store: [u8; 16]) -> Snapshots {
        Snapshots { disk: self.disk.clone(), dir: self.closed.layout().snapshots(), store }
    }

    /// The records of a snapshot of this store.
    pub(super) fn snapshot(&self, snapshot: &Snapshot) -> Result<archive::Reader> {
        self.snapshots_of(self.id().unwrap_or_default()).read(snapshot)
    }

    /// Reads a snapshot to its end. Where the manifest does not tell the id of the store
    /// any store's will do.
    pub(super) fn verify_snapshot(&self, snapshot: &Snapshot) -> Result<Summary> {
        let id = match self.id() {
            Some(id) => id,
            None => self.archive(&snapshot.path)?.summary().store,
        };
        self.snapshots_of(id).read(snapshot)?.finish()
    }

    pub(super) fn archive(&self, path: &Path) -> Result<archive::Reader> {
        archive::Reader::open(&*self.disk, path)
    }
}
