//! Reclaims disk space.

use std::fs;
use std::path::Path;

use crate::engine::{DurableEngine, Options};
use crate::error::{Error, Result};
use crate::folder::{Folder, OfflineFolder};
use crate::index;

/// The size of the store's files before and after compaction, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compacted {
    /// Before.
    pub before: u64,
    /// After.
    pub after: u64,
}

/// Rebuilds the index of a store without obsolete versions of records, and deletes log that a new
/// snapshot makes obsolete.
///
/// The old index or log is kept if the new index or the snapshot would be larger. Needs free space
/// for a copy of the index, the new one and the snapshot. An interruption loses nothing, and the
/// next opening repairs the store.
///
/// A store that was closed does not grow. One whose program died may, when the index takes in what
/// only the log had.
///
/// # Errors
///
/// As [`Store::open`](crate::Store::open); if there is not enough space. No commit is lost then,
/// and repairs made by opening the store remain.
///
/// ```
/// use procstate::recovery::{compact, remove_damaged};
/// # let folder = tempfile::tempdir()?;
/// # procstate::Store::open(folder.path())?.close()?;
///
/// let compacted = compact(folder.path())?;
/// println!("{} bytes before, {} after", compacted.before, compacted.after);
/// // Damaged indexes are kept for inspection until they are deleted.
/// assert_eq!(remove_damaged(folder.path())?, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn compact(store: impl AsRef<Path>) -> Result<Compacted> {
    let store = store.as_ref();
    let before = size(store)?;
    DurableEngine::compact(Folder::open(store, false)?, &index::Options::default(), &Options::default())?;
    Ok(Compacted { before, after: size(store)? })
}

/// Deletes the damaged indexes that openings of a store kept for inspection when they rebuilt it;
/// returns their number.
///
/// # Errors
///
/// [`is_locked`](crate::Error::is_locked) while a program has the store open; if a folder cannot be
/// deleted.
pub fn remove_damaged(store: impl AsRef<Path>) -> Result<usize> {
    let store = store.as_ref();
    let _folder = Folder::open(store, false)?;
    let failed = |error| Error::io("list the folder", store, error);
    let mut removed = 0;
    for entry in fs::read_dir(store).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("index.damaged-")) {
            fs::remove_dir_all(&path).map_err(|error| Error::io("remove", &path, error))?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn size(store: &Path) -> Result<u64> {
    let mut bytes = 0;
    for file in OfflineFolder::open(store)?.files()? {
        bytes += fs::metadata(&file).map_err(|error| Error::io("read the length of", &file, error))?.len();
    }
    Ok(bytes)
}
