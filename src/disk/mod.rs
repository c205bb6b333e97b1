//! Disk I/O of the log, the manifest and archives behind a trait. Tests substitute a disk that
//! fails and that loses unsynced writes.
//!
//! The methods state everything that callers may assume of a disk: a write may be torn or reordered
//! until its file is synced, and a name may be lost until its folder is synced.

pub(crate) mod mode;
mod read_only;
mod real;
#[cfg(test)]
pub(crate) mod sim;

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

pub(crate) use read_only::ReadOnlyDisk;
pub(crate) use real::RealDisk;

use crate::error::Result;

/// The reason given when a symbolic link stands in for a file of the store.
pub(crate) const LINK: &str = "it is a symbolic link, which no file of a store is; put the file itself there";

pub(crate) trait Disk: Debug + Send + Sync + 'static {
    /// Creates an empty file, or truncates an existing one.
    fn create(&self, path: &Path) -> Result<Arc<dyn DiskFile>>;

    /// Opens a file for reading and writing.
    fn open(&self, path: &Path) -> Result<Arc<dyn DiskFile>>;

    /// Returns the names of the files in a folder, unordered.
    ///
    /// A missing folder has none.
    fn list(&self, dir: &Path) -> Result<Vec<String>>;

    /// Creates a folder if it is missing, and makes its name durable.
    fn create_dir(&self, dir: &Path) -> Result<()>;

    /// Renames a file within its folder, replacing any file with the new name.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;

    fn remove(&self, path: &Path) -> Result<()>;

    /// Makes the names in a folder survive power loss.
    fn sync_dir(&self, dir: &Path) -> Result<()>;

    /// Returns the free space of the folder's disk in bytes.
    fn free_bytes(&self, dir: &Path) -> Result<u64>;

    /// Reads a whole file; `None` if it does not exist.
    fn read(&self, dir: &Path, name: &str) -> Result<Option<Vec<u8>>> {
        if !self.list(dir)?.iter().any(|found| found == name) {
            return Ok(None);
        }
        let file = self.open(&dir.join(name))?;
        let mut bytes = vec![0; usize::try_from(file.len()?).unwrap_or(usize::MAX)];
        let read = file.read_at(&mut bytes, 0)?;
        bytes.truncate(read);
        Ok(Some(bytes))
    }
}

/// An open file.
pub(crate) trait DiskFile: Debug + Send + Sync + 'static {
    /// Writes all of `bytes`.
    ///
    /// Once this returns they survive the program's death.
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()>;

    /// Reads from `offset` until `bytes` is full or the file ends; returns the number of bytes
    /// read.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> Result<usize>;

    /// Returns the length of the file in bytes.
    fn len(&self) -> Result<u64>;

    /// Makes earlier writes survive power loss.
    ///
    /// After an error the content of the disk is unknown, and a retry that succeeds proves nothing.
    fn sync(&self) -> Result<()>;
}
