//! The files of a store that nobody has open, sound or not.

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

/// A store that is only looked at.
#[derive(Debug)]
pub(crate) struct Offline {
    pub(crate) closed: OfflineFolder,
    pub(crate) identity: Identity,
    disk: Arc<dyn Disk>,
}

impl Offline {
    /// Fails if a newer version wrote it: what that means this one cannot tell, whatever
    /// of it can be read.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let (closed, disk) = (OfflineFolder::open(path)?, Arc::new(ReadOnlyDisk));
        let told = match closed.manifest() {
            Err(error) if matches!(error.failure(), Failure::NewerFormat { .. }) => return Err(error),
            // What else is wrong with it is for the caller to say.
            manifest => manifest.ok().flatten().and_then(|manifest| manifest.id_bytes()),
        };
        let mut store = Self { closed, disk, identity: Identity { id: told, is_certain: true } };
        if told.is_none() {
            store.identity = Identity::of_files(store.ids()?);
        }
        Ok(store)
    }

    /// The ids that files bear.
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

    /// Whether a segment or a snapshot says that it is another store's.
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

    /// The id of the store, as far as can be told.
    pub(crate) fn id(&self) -> Option<[u8; 16]> {
        self.identity.id
    }

    /// The log as opening takes it, and fails if it may not.
    pub(crate) fn log(&self) -> Result<SegmentDirectory> {
        SegmentDirectory::load(self.disk.clone(), &self.closed.layout().wal(), self.id().unwrap_or_default())
    }

    /// All of the log that can be read, and the files of it that are not as they
    /// should be, with what is wrong with them.
    pub(crate) fn log_anyhow(&self) -> Result<(SegmentDirectory, Vec<(PathBuf, String)>)> {
        SegmentDirectory::salvage(self.disk.clone(), &self.closed.layout().wal(), self.id())
    }

    /// What is noted of how far the log is durable.
    pub(crate) fn synced(&self) -> Result<Synced> {
        let folder = self.closed.layout().root().to_owned();
        SyncedFile { disk: self.disk.clone(), folder, store: self.id().unwrap_or_default() }.read()
    }

    /// The snapshots, newest first.
    pub(crate) fn snapshots(&self) -> Result<Vec<Snapshot>> {
        self.snapshots_of(self.id().unwrap_or_default()).list()
    }

    fn snapshots_of(&self, store: [u8; 16]) -> Snapshots {
        Snapshots { disk: self.disk.clone(), dir: self.closed.layout().snapshots(), store }
    }

    /// The records of a snapshot of this store.
    pub(crate) fn snapshot(&self, snapshot: &Snapshot) -> Result<archive::Reader> {
        self.snapshots_of(self.id().unwrap_or_default()).read(snapshot)
    }

    /// Reads a snapshot to its end. Where the manifest does not tell the id of the store
    /// any store's will do.
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
