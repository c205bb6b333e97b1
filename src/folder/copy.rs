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
    check_target(from, to)?;
    let _lock = Lock::shared(from)?;
    copy_dir(from, to)
}

/// A copy into the store itself would never end, one beside other files would mix
/// with them.
fn check_target(from: &Path, to: &Path) -> Result<()> {
    let absolute = |path: &Path| std::path::absolute(path).map_err(|error| Error::io("find", path, error));
    if absolute(to)?.starts_with(absolute(from)?) {
        return Err(Error::argument(format!("the copy {} would lie inside the store", to.display())));
    }
    match fs::read_dir(to).map(|mut entries| entries.next().is_none()) {
        Ok(false) => Err(Error::argument(format!("the folder for the copy, {}, is not empty", to.display()))),
        Ok(true) | Err(_) => Ok(()),
    }
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
