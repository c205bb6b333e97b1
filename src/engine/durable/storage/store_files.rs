//! The files of a store.

use std::sync::Arc;

use uuid::Uuid;

use super::index_directory::IndexDirectory;
use super::snapshots::Snapshots;
use super::store_folder::StoreFolder;
use crate::disk::{Disk, RealDisk};
use crate::engine::durable::wal::LogFiles;
use crate::error::{Failure, Result};
use crate::folder::{Folder, SyncedFile, VerifyingFile};
use crate::index;
use crate::record::{Epoch, Position, Writers};

/// The files of a store.
#[derive(Debug)]
pub(crate) struct StoreFiles {
    pub(crate) index_dir: Arc<dyn IndexDirectory>,
    pub(crate) log: LogFiles,
    pub(crate) synced: SyncedFile,
    pub(crate) verifying: VerifyingFile,
    pub(crate) snapshots: Snapshots,
}

impl StoreFiles {
    /// Opens the files in a store's folder.
    pub(crate) fn new(folder: Folder, index: &index::Options, segment_bytes: u32) -> Result<Self> {
        Self::with(folder, segment_bytes, |folder| StoreFolder::new(folder, index.clone()))
    }

    /// Opens the files, keeping a copy of the index from before it is opened.
    pub(crate) fn keeping_index(folder: Folder, index: &index::Options, segment_bytes: u32) -> Result<Self> {
        Self::with(folder, segment_bytes, |folder| StoreFolder::keeping(folder, index.clone()))
    }

    fn with(
        folder: Folder,
        segment_bytes: u32,
        index_dir: impl FnOnce(Folder) -> StoreFolder,
    ) -> Result<Self> {
        let id = Uuid::parse_str(&folder.manifest().id).map_err(|error| Failure::Corrupt {
            place: format!("the manifest of {}", folder.layout().root().display()),
            why: format!("its id is none: {error}"),
        })?;
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::creating(folder.mode()));
        let store = id.into_bytes();
        let layout = folder.layout();
        let (dir, epoch) = (layout.wal(), Epoch::draw());
        let log = LogFiles { disk: disk.clone(), dir, store, segment_bytes, epoch };
        let synced = SyncedFile { disk: disk.clone(), folder: layout.root().to_owned(), store };
        let verifying = VerifyingFile { disk: disk.clone(), folder: layout.root().to_owned() };
        let snapshots = Snapshots { disk, dir: layout.snapshots(), store };
        Ok(Self { index_dir: Arc::new(index_dir(folder)), log, synced, verifying, snapshots })
    }

    /// Returns the openings that can have written the newest commit of the log, if the previous one
    /// ended with `last`.
    pub(crate) fn writers(&self, last: Position) -> Writers {
        Writers { own: Some(self.log.epoch), found: last.epoch }
    }
}
