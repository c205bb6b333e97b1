//! Opening the store that a command is about.

use std::ops::Deref;
use std::path::Path;

use procstate::Store;
use tempfile::TempDir;

use crate::failure::Failure;

/// A private copy of a store, for looking at it: opening a store writes to it.
pub(crate) struct Copy {
    // Dropped first: the store lets go of the folder before that is removed.
    store: Store,
    _folder: TempDir,
}

impl Deref for Copy {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

/// Opens a copy of the store at `path`, and leaves the store as it is.
pub(crate) fn for_looking(path: &Path) -> Result<Copy, Failure> {
    let folder = tempfile::Builder::new()
        .prefix("procstate-")
        .tempdir()
        .map_err(|error| Failure::Failed(format!("could not create a temporary folder: {error}")))?;
    // An unreadable store is no absent name: it ends with 2.
    Store::copy_files(path, folder.path()).map_err(|error| Failure::failed(&error))?;
    // What is wrong with the copy is wrong with the store.
    let store = existing(folder.path()).map_err(|failure| {
        Failure::Failed(
            failure.to_string().replace(&*folder.path().to_string_lossy(), &path.to_string_lossy()),
        )
    })?;
    Ok(Copy { store, _folder: folder })
}

/// Opens the store at `path`, which must be there.
pub(crate) fn for_changing(path: &Path) -> Result<Store, Failure> {
    existing(path)
}

fn existing(path: &Path) -> Result<Store, Failure> {
    Store::builder().create(false).open(path).map_err(|error| Failure::failed(&error))
}
