//! Log files under construction, which have a name of their own.

use std::path::{Path, PathBuf};

use super::slot::{Slot, path_of, slot_of};
use crate::disk::Disk;
use crate::error::Result;

const NEW: &str = ".new";

/// Returns the temporary path of a shorter file.
pub(super) fn new_path(dir: &Path, slot: Slot) -> PathBuf {
    let mut path = path_of(dir, slot).into_os_string();
    path.push(NEW);
    path.into()
}

/// Reports whether a program was writing this file when it died.
pub(crate) fn is_unfinished(name: &str) -> bool {
    name.strip_suffix(NEW).is_some_and(|segment| slot_of(segment).is_some())
}

/// Deletes the files that programs were writing when they died.
pub(crate) fn delete_unfinished(disk: &dyn Disk, dir: &Path) -> Result<()> {
    disk.list(dir)?
        .iter()
        .filter(|name| is_unfinished(name))
        .try_for_each(|name| disk.remove(&dir.join(name)))
}
