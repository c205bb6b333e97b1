//! Giving space back.

use std::fs;
use std::path::Path;

use crate::engine::{DurableEngine, Options};
use crate::error::{Error, Result};
use crate::folder::{Folder, OfflineFolder};
use crate::index;

/// What compacting gained, in bytes of the store's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compacted {
    /// Before.
    pub before: u64,
    /// After.
    pub after: u64,
}

/// Makes the index of a store anew, without the space that old versions of records
/// take, and deletes log that a new snapshot makes superfluous; but keeps the index that
/// there is, or the log, where the new one, or the snapshot, would take more. Needs free
/// space for a copy of the index, the new one and the snapshot meanwhile. Interrupted at
/// any moment, the store is as complete as before, and is mended when it is opened next.
///
/// A store that was closed takes no more than before. One whose program died may, when
/// what was in the log alone is in the index too.
///
/// # Errors
///
/// As [`Store::open`](crate::Store::open); if there is not enough space. No
/// commit is lost by that; what opening the store mended or rebuilt stays so.
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

/// Deletes the damaged indexes that openings of a store kept for inspection when
/// they rebuilt it. Answers how many there were.
///
/// # Errors
///
/// [`is_locked`](crate::Error::is_locked) while a program has the store open; if
/// they cannot be deleted.
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
