//! The file VERIFYING: exists from an opening that defers its verification until that has found the
//! store intact. If the program dies before, or finds damage, the next opening verifies first.

use std::path::PathBuf;
use std::sync::Arc;

use super::VERIFYING;
use crate::disk::Disk;
use crate::error::Result;

/// The path of a store's VERIFYING file, which is empty.
#[derive(Debug, Clone)]
pub(crate) struct VerifyingFile {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) folder: PathBuf,
}

impl VerifyingFile {
    pub(crate) fn exists(&self) -> Result<bool> {
        Ok(self.disk.list(&self.folder)?.iter().any(|name| name == VERIFYING))
    }

    pub(crate) fn create(&self) -> Result<()> {
        self.disk.create(&self.folder.join(VERIFYING)).map(drop)
    }

    /// Removes it, if it exists.
    pub(crate) fn remove(&self) -> Result<()> {
        if self.exists()? { self.disk.remove(&self.folder.join(VERIFYING)) } else { Ok(()) }
    }
}
