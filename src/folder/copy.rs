//! Copying a store that no program has open.

use std::fs;
use std::path::Path;

use super::lock::Lock;
use super::{LOCK, check_is_store};
use crate::error::{Error, Result};

/// Copies the files of the store at `from` into the folder `to`, which is
/// created. Nothing at `from` is changed, not even the lock file.
pub(crate) fn copy_files(from: &Path, to: &Path) -> Result<()> {
    check_is_store(from, false)?;
    let _lock = Lock::shared(from)?;
    copy_dir(from, to)
}

fn copy_dir(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).map_err(|error| Error::io("create the folder", to, error))?;
    let entries = fs::read_dir(from).map_err(|error| Error::io("list the folder", from, error))?;
    for entry in entries {
        let entry = entry.map_err(|error| Error::io("list the folder", from, error))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy_dir(&source, &target)?;
        } else if entry.file_name() != LOCK {
            fs::copy(&source, &target).map_err(|error| Error::io("copy", &source, error))?;
        }
    }
    Ok(())
}
