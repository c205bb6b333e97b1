//! The separate files into which sled writes nodes over 128 KiB without making them durable.
//!
//! Values are split so that leaves stay smaller, but hundreds of keys of a kilobyte with long
//! common prefixes still make inner nodes of that size.

use std::fs;
use std::path::Path;

use crate::error::{Error, Result};
use crate::folder::{sync_dir, sync_file};

/// Makes every such file survive power loss.
pub(super) fn sync(dir: &Path) -> Result<()> {
    let blobs = dir.join("blobs");
    let failed = |error| Error::io("list the folder", &blobs, error);
    let mut is_empty = true;
    for entry in fs::read_dir(&blobs).map_err(failed)? {
        is_empty = false;
        sync_file(&entry.map_err(failed)?.path())?;
    }
    if is_empty { Ok(()) } else { sync_dir(&blobs) }
}
