//! The size of a folder.

use std::fs;
use std::path::Path;

use crate::error::{Error, Result};

/// Returns the total size of all files in a folder, recursively; files that vanish count as empty.
pub(crate) fn dir_bytes(dir: &Path) -> Result<u64> {
    let failed = |error| Error::io("list the folder", dir, error);
    let mut bytes = 0;
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        bytes +=
            if path.is_dir() { dir_bytes(&path)? } else { fs::metadata(&path).map_or(0, |file| file.len()) };
    }
    Ok(bytes)
}
