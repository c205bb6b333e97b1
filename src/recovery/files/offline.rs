//! The files of a closed store, intact or not.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::identity::{Identity, Kind};
use crate::archive::{self, Summary};
use crate::disk::{Disk, ReadOnlyDisk};
use crate::engine::wal::{SegmentDirectory, store_of, stores_of};
use crate::engine::{Snapshot, Snapshots};
use crate::error::{Failure, Result};
use crate::folder::{Manifest, OfflineFolder, Synced, SyncedFile};
use crate::index::raw;

/// A store opened for reading only.
#[derive(Debug)]
pub(crate) struct Offline {
    pub(crate) closed: OfflineFolder,
    pub(crate) identity: Identity,
    disk: Arc<dyn Disk>,
}

impl Offline {
    /// Opens the store at `path`.
    ///
    /// Fails if a newer version wrote it, even if parts of it are readable, since this version
    /// cannot interpret them.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let (closed, disk) = (OfflineFolder::open(path)?, Arc::new(ReadOnlyDisk));
        let told = match closed.manifest() {
            Err(error) if matches!(error.failure(), Failure::NewerFormat { .. }) => return Err(error),
            // The caller reports other damage.
            manifest => manifest.ok().flatten().and_then(|manifest| manifest.id_bytes()),
        };
        let mut store = Self { closed, disk, identity: Identity { id: told, is_certain: true } };
        store.identity = match told {
            None => Identity::of_files(store.ids()?),
            // Which of the two files is the other store's cannot be known.
            Some(_) => Identity { is_certain: !store.synced()?.is_foreign(), ..store.identity },
        };
        Ok(store)
    }

    /// Returns the store ids in the files.
    fn ids(&self) -> Result<Vec<(Kind, [u8; 16])>> {
        let layout = self.closed.layout();
        let segments = stores_of(&*self.disk, &layout.wal())?.into_iter().map(|id| (Kind::Segment, id));
        let snapshots = self.snapshots()?.into_iter().filter_map(|snapshot| {
            let archive = self.archive(&snapshot.path).ok()?;
            Some((Kind::Snapshot, archive.summary().store))
        });
        let index = raw::store_of(&layout.index()).map(|id| (Kind::Index, id));
        let shown = Manifest::shown_id(&*self.disk, layout.root()).map(|id| (Kind::Manifest, id));
        Ok(segments.chain(snapshots).chain(index).chain(shown).collect())
    }

    /// Reports whether a segment or snapshot belongs to another store.
    pub(crate) fn is_foreign(&self, file: &Path) -> bool {
        let layout = self.closed.layout();
        let bears = if file.starts_with(layout.wal()) {
            store_of(&*self.disk, file)
        } else if file.starts_with(layout.snapshots()) {
            self.archive(file).ok().map(|archive| archive.summary().store)
        } else {
            None
        };
        matches!((bears, self.id()), (Some(other), Some(own)) if other != own)
    }

    /// Returns the id of the store, if it can be determined.
    pub(crate) fn id(&self) -> Option<[u8; 16]> {
        self.identity.id
    }

    /// Opens the log as opening the store would; fails if that is refused.
    pub(crate) fn log(&self) -> Result<SegmentDirectory> {
        SegmentDirectory::load(self.disk.clone(), &self.closed.layout().wal(), self.id().unwrap_or_default())
    }

    /// Returns the readable part of the log, and its damaged files with the reason.
    pub(crate) fn log_anyhow(&self) -> Result<(SegmentDirectory, Vec<(PathBuf, String)>)> {
        SegmentDirectory::salvage(self.disk.clone(), &self.closed.layout().wal(), self.id())
    }

    /// Reads how far the log is recorded as durable.
    pub(crate) fn synced(&self) -> Result<Synced> {
        let folder = self.closed.layout().root().to_owned();
        SyncedFile { disk: self.disk.clone(), folder, store: self.id().unwrap_or_default() }.read()
    }

    /// Returns the snapshots, newest first.
    pub(crate) fn snapshots(&self) -> Result<Vec<Snapshot>> {
        self.snapshots_of(self.id().unwrap_or_default()).list()
    }

    fn snapshots_of(&self, store: [u8; 16]) -> Snapshots {
        Snapshots { disk: self.disk.clone(), dir: self.closed.layout().snapshots(), store }
    }

    /// Opens a snapshot of this store.
    pub(crate) fn snapshot(&self, snapshot: &Snapshot) -> Result<archive::Reader> {
        self.snapshots_of(self.id().unwrap_or_default()).read(snapshot)
    }

    /// Reads a snapshot to its end.
    ///
    /// If the manifest does not have the store id, that of any store is accepted.
    pub(crate) fn verify_snapshot(&self, snapshot: &Snapshot) -> Result<Summary> {
        let id = match self.id() {
            Some(id) => id,
            None => self.archive(&snapshot.path)?.summary().store,
        };
        self.snapshots_of(id).read(snapshot)?.finish()
    }

    pub(crate) fn archive(&self, path: &Path) -> Result<archive::Reader> {
        archive::Reader::open(&*self.disk, path)
    }
}
