//! Making files and folders durable.

use std::fs::{self, File};
use std::path::Path;

use crate::error::{Error, Result};

/// Makes the names in a folder survive power loss.
pub(crate) fn sync_dir(path: &Path) -> Result<()> {
    sync_file(path)
}

/// Makes the content of a file survive power loss.
pub(crate) fn sync_file(path: &Path) -> Result<()> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| Error::io("make durable", path, error))
}

/// Makes a folder and everything in it survive power loss.
pub(crate) fn sync_tree(dir: &Path) -> Result<()> {
    let failed = |error| Error::io("list the folder", dir, error);
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() { sync_tree(&path)? } else { sync_file(&path)? }
    }
    sync_dir(dir)
}
