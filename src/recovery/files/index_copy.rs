//! A private copy of an index, since opening one writes to it.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::disk::{Disk, RealDisk};
use crate::engine::policy::MISSING_INDEX;
use crate::error::{Error, Failure, Result, chain};
use crate::folder::{copy_dir, dir_bytes};
use crate::index::{self, Contents, Index};
use crate::recovery::options::bytes_of;

/// Space for writes to the copy while it is open.
const HEADROOM_BYTES: u64 = 8 << 20;

/// An intact index in a private folder.
#[derive(Debug)]
pub(crate) struct IndexCopy {
    // Dropped first, so that sled closes its files before the folder is removed.
    pub(crate) index: Index,
    pub(crate) contents: Contents,
    _folder: TempDir,
}

impl IndexCopy {
    /// Copies the index in `dir` to a folder in `scratch`, opens it, and verifies its content.
    ///
    /// The inner error is the damage.
    pub(crate) fn open(dir: &Path, scratch: &Path) -> Result<Result<Self, String>> {
        let file = dir.join("db");
        match fs::metadata(&file).map_err(|error| Error::io("look at", &file, error)) {
            Err(error) if error.is_of_the_system() => return Err(error),
            Ok(found) if found.is_file() => {}
            _ => return Ok(Err(MISSING_INDEX.to_owned())),
        }
        // sled would create a new index.
        if bytes_of(&dir.join("db")) == 0 {
            return Ok(Err("its file is empty".to_owned()));
        }
        match index::check_files(dir) {
            Err(error) if error.is_of_the_system() => return Err(error),
            Err(error) => return Ok(Err(chain(&error))),
            Ok(()) => {}
        }
        if !scratch.is_dir() {
            let why = "is no folder; create it, or name another for the private copy of the index (`--scratch DIR`, TMPDIR=DIR)";
            return Err(Error::argument(format!("{} {why}", scratch.display())));
        }
        let folder = tempfile::Builder::new()
            .prefix("procstate-index-")
            .tempdir_in(scratch)
            .map_err(|error| Error::io("create a folder in", scratch, error))?;
        check_space(dir, folder.path())?;
        let copy = folder.path().join("index");
        let opened = copy_dir(dir, &copy).map_err(Error::before_writing).and_then(|()| open(&copy, dir));
        match opened {
            Ok((index, contents)) => Ok(Ok(Self { index, contents, _folder: folder })),
            // Other programs wrote to that disk meanwhile.
            Err(error) if error.is_disk_full() => Err(no_room(dir, scratch)?),
            Err(error) if error.is_of_the_system() => Err(error),
            // Damage of the copy is damage of the index.
            Err(error) => Ok(Err(chain(&error).replace(&*copy.to_string_lossy(), &dir.to_string_lossy()))),
        }
    }
}

fn open(copy: &Path, dir: &Path) -> Result<(Index, Contents)> {
    let options = index::Options { copy_of: Some(dir.to_owned()), ..index::Options::default() };
    let index = Index::open(copy, &options)?;
    let contents = index.contents()?.unwrap_or_default();
    Ok((index, contents))
}

fn check_space(dir: &Path, scratch: &Path) -> Result<()> {
    if RealDisk::PRIVATE.free_bytes(scratch)? >= needed(dir)? {
        return Ok(());
    }
    Err(no_room(dir, scratch)?)
}

fn no_room(dir: &Path, scratch: &Path) -> Result<Error> {
    let (needed, free) = (needed(dir)?, RealDisk::PRIVATE.free_bytes(scratch)?);
    Ok(Failure::NoRoom { path: scratch.to_owned(), needed, free }.into())
}

fn needed(dir: &Path) -> Result<u64> {
    Ok(dir_bytes(dir)?.saturating_add(HEADROOM_BYTES))
}
