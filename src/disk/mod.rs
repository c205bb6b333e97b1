//! Disk I/O of the log, the manifest and archives, behind a seam: tests put a disk
//! there that fails, and that forgets what was not synced.
//!
//! What is assumed of a disk is what its methods say, and no more: a write may be
//! torn and reordered until its file is synced, a name may be lost until its
//! folder is.

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

/// What to say of a link where a file of a store should be.
pub(crate) const LINK: &str = "it is a symbolic link, which no file of a store is; put the file itself there";

pub(crate) trait Disk: Debug + Send + Sync + 'static {
    /// Creates an empty file; one that is there is emptied.
    fn create(&self, path: &Path) -> Result<Arc<dyn DiskFile>>;

    /// Opens a file for reading and writing.
    fn open(&self, path: &Path) -> Result<Arc<dyn DiskFile>>;

    /// The names of the files in a folder, in no order; none if there is no such
    /// folder.
    fn list(&self, dir: &Path) -> Result<Vec<String>>;

    /// Creates a folder, unless it is there, and makes its name durable.
    fn create_dir(&self, dir: &Path) -> Result<()>;

    /// Gives a file another name in its folder, in place of any that has it.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;

    fn remove(&self, path: &Path) -> Result<()>;

    /// Makes the names in a folder survive power loss.
    fn sync_dir(&self, dir: &Path) -> Result<()>;

    /// How many bytes more may be written to a folder's disk.
    fn free_bytes(&self, dir: &Path) -> Result<u64>;

    /// All of a file; `None` if there is none of that name.
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
    /// Writes all of `bytes`; they survive the program's death once it returns.
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()>;

    /// Fills `bytes` from `offset` on, as far as the file goes; answers how far.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> Result<usize>;

    /// The length of the file in bytes.
    fn len(&self) -> Result<u64>;

    /// Makes what was written survive power loss. After an error nobody knows
    /// what the disk holds, and a second try tells nothing.
    fn sync(&self) -> Result<()>;
}
