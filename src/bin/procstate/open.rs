//! Opening the store that a command is about.

use std::ops::Deref;
use std::path::Path;

use procstate::Store;
use tempfile::TempDir;

use crate::failure::{Failure, chain};
use crate::log;

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
    let folder = tempfile::Builder::new().prefix("procstate-").tempdir().map_err(|error| {
        let place = std::env::temp_dir();
        Failure::Failed(format!(
            "could not create a temporary folder in {}: {error}. Name another one with TMPDIR=DIR",
            place.display()
        ))
    })?;
    log::speak_of(folder.path(), path);
    let opened = Store::copy_files(path, folder.path()).and_then(|()| existing(folder.path()));
    match opened {
        Ok(store) => Ok(Copy { store, _folder: folder }),
        Err(error) => Err(not_opened(&error)),
    }
}

/// An unreadable store is no absent name: it ends with 2.
fn not_opened(error: &procstate::Error) -> Failure {
    let text = chain(error);
    // The index tells of a full disk in its own words.
    if error.is_disk_full() || text.contains("No space left") {
        return Failure::Failed(format!(
            "there is no room in {} for a private copy of the store, which is opened instead of it. The store was not changed. Make room, or name a folder on another disk with TMPDIR=DIR",
            std::env::temp_dir().display()
        ));
    }
    Failure::Failed(text)
}

/// Opens the store at `path`, which must be there.
pub(crate) fn for_changing(path: &Path) -> Result<Store, Failure> {
    existing(path).map_err(|error| Failure::failed(&error))
}

pub(crate) fn existing(path: &Path) -> procstate::Result<Store> {
    Store::builder().create(false).open(path)
}
