//! Where the parts of a store are.

use std::sync::Arc;

use super::base::Home;
use super::snapshots::Snapshots;
use super::wal::Files;
use crate::folder::SyncedFile;

/// The parts of a store on disk.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) home: Arc<dyn Home>,
    pub(crate) log: Files,
    pub(crate) synced: SyncedFile,
    pub(crate) snapshots: Snapshots,
}
