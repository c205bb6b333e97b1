//! Making files and folders durable.

use std::fs::File;
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
