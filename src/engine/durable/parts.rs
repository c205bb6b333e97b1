//! Where the parts of a store are.

use std::sync::Arc;

use super::base::Home;
use super::snapshots::Snapshots;
use super::wal::Files;
use crate::folder::SyncedFile;
use crate::record::{Position, Writers};

/// The parts of a store on disk.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) home: Arc<dyn Home>,
    pub(crate) log: Files,
    pub(crate) synced: SyncedFile,
    pub(crate) snapshots: Snapshots,
}

impl Parts {
    /// Who writes to a log that ends with the commit `last`.
    pub(super) fn writers(&self, last: Position) -> Writers {
        Writers { own: Some(self.log.epoch), found: last.epoch }
    }
}
