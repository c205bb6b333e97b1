//! The folder of a store.
//!
//! ```text
//! LOCK        held by the program that has the store open; names it
//! MANIFEST    format, identity, and a commit that the index holds
//! wal/        the log
//! SYNCED      how far the log is durable
//! snapshots/  archives from which the index can be rebuilt
//! VERIFYING   exists while a verification in the background has not found the store intact
//! index/      the records
//! control.sock  the control socket of the program that has the store open, if it serves one
//! ```

mod copy;
mod layout;
mod listing;
mod lock;
mod manifest;
mod offline;
mod size;
mod sync;
mod synced;
mod verifying;

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

pub(crate) use copy::{check_outside, check_target, copy_dir, copy_files};
pub(crate) use layout::Layout;
use layout::{INDEX, LOCK, MANIFEST, SNAPSHOTS, SYNCED, VERIFYING, WAL};
pub(crate) use manifest::Manifest;
pub(crate) use offline::OfflineFolder;
pub(crate) use size::dir_bytes;
pub(crate) use sync::{sync_dir, sync_file, sync_tree};
pub(crate) use synced::{Synced, SyncedFile, SyncedNote};
pub(crate) use verifying::VerifyingFile;

use crate::disk::{LINK, RealDisk, mode};
use crate::error::{Error, Failure, Result};
use crate::record::{Position, Writers};
use lock::Lock;

/// A store's folder, locked by this program.
#[derive(Debug)]
pub(crate) struct Folder {
    layout: Layout,
    manifest: Manifest,
    /// The mode of its files.
    mode: u32,
    _lock: Lock,
}

impl Folder {
    /// Locks the folder at `path` and reads its manifest.
    ///
    /// If there is no store and `create` is set, it starts one, or continues an interrupted
    /// creation.
    pub(crate) fn open(path: &Path, create: bool) -> Result<Self> {
        Self::open_or_create(path, create.then_some(mode::PRIVATE))
    }

    /// Opens or creates the folder; `create` is the mode of a new store's files.
    ///
    /// An existing store keeps the mode of its manifest.
    pub(crate) fn open_or_create(path: &Path, create: Option<u32>) -> Result<Self> {
        if let Some(mode) = create {
            create_dir(path, mode)?;
        }
        check_is_store(path, create.is_some())?;
        // A directory under this name would stop the store at the next write of the manifest.
        let temporary = path.join(manifest::TEMPORARY);
        if temporary.is_symlink() {
            return Err(Error::io("write", temporary, std::io::Error::other(LINK)));
        }
        let layout = Layout::of(path);
        let found = fs::metadata(layout.manifest()).ok().map(|found| mode::of_file(&found));
        let mode = found.or(create).unwrap_or(mode::PRIVATE) | mode::PRIVATE;
        let lock = Lock::exclusive(path, mode)?;
        let manifest = match (Manifest::read(&RealDisk::PRIVATE, path)?, create) {
            (Some(manifest), _) => manifest,
            (None, Some(_)) => begin(path, mode)?,
            (None, None) => return Err(Failure::NoStore { path: path.to_owned() }.into()),
        };
        Ok(Self { layout, manifest, mode, _lock: lock })
    }

    /// Returns the mode of the store's files.
    pub(crate) fn mode(&self) -> u32 {
        self.mode
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Records that there is a log, that the index durably holds everything up to `position`, and
    /// that the log continues with `writers`.
    pub(crate) fn set_index(&mut self, position: Position, writers: Writers) -> Result<()> {
        let manifest = self.manifest.noting(position, writers);
        if manifest == self.manifest {
            return Ok(());
        }
        manifest.write(&RealDisk::creating(self.mode), self.layout.root())?;
        self.manifest = manifest;
        Ok(())
    }
}

fn begin(path: &Path, mode: u32) -> Result<Manifest> {
    let manifest = Manifest::new();
    manifest.write(&RealDisk::creating(mode), path)?;
    sync_names_of(path)?;
    Ok(manifest)
}

/// Makes the names of all folders above the store durable.
///
/// Whoever created them, this program or one that was killed, may not have synced them.
fn sync_names_of(path: &Path) -> Result<()> {
    let path = path.canonicalize().map_err(|error| Error::io("find", path, error))?;
    for above in path.ancestors().skip(1) {
        match sync_dir(above) {
            // A folder that cannot be read was not created by such a program.
            Err(error) if error.is_permission_denied() => {}
            synced => synced?,
        }
    }
    Ok(())
}

fn create_dir(path: &Path, mode: u32) -> Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let mut builder = DirBuilder::new();
    builder.mode(mode::of_folder(mode));
    match parent.map_or(Ok(()), fs::create_dir_all).and_then(|()| builder.create(path)) {
        Err(_) if path.is_dir() => Ok(()),
        Err(_) if path.is_file() => Err(not_a_store(path, "it is a file; a store is a folder")),
        created => created.map_err(|error| Error::io("create the folder", path, error)),
    }
}

/// Checks the folder before anything in it is touched.
fn check_is_store(path: &Path, create: bool) -> Result<()> {
    if !path.exists() {
        return Err(Failure::NoStore { path: path.to_owned() }.into());
    }
    if !path.is_dir() {
        return Err(not_a_store(path, "it is a file; a store is a folder"));
    }
    if path.join(MANIFEST).exists() {
        return Ok(());
    }
    match foreign_file(path)? {
        // Another program may have created the store meanwhile.
        Some(_) if path.join(MANIFEST).exists() => Ok(()),
        Some(_) if has_parts(path) => Err(without_manifest(path)),
        Some(name) => Err(not_a_store(
            path,
            &format!("it has no MANIFEST, and holds other files ({name}); name a new or empty folder"),
        )),
        None if create => Ok(()),
        None => Err(Failure::NoStore { path: path.to_owned() }.into()),
    }
}

/// Returns a file that an interrupted creation cannot have left.
fn foreign_file(path: &Path) -> Result<Option<String>> {
    let entries = fs::read_dir(path).map_err(|error| Error::io("list the folder", path, error))?;
    for entry in entries {
        let entry = entry.map_err(|error| Error::io("list the folder", path, error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != LOCK && name != manifest::TEMPORARY {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Reports whether the folder has parts that only a store has.
fn has_parts(path: &Path) -> bool {
    [SYNCED, WAL, SNAPSHOTS, INDEX].iter().any(|part| path.join(part).exists())
}

/// The error for the remains of a store, which must not be overwritten by a new one.
pub(crate) fn without_manifest(path: &Path) -> Error {
    let (place, store) = (format!("store {}", path.display()), path.display());
    let why = format!(
        "its {MANIFEST} is missing, but other parts of a store are there. Nothing was changed. Restore the file; `procstate --db {store} verify` shows what is left, and `procstate --db {store} salvage --output NEWDIR` makes a new store from it"
    );
    Failure::Corrupt { place, why }.into()
}

fn not_a_store(path: &Path, why: &str) -> Error {
    Failure::NotAStore { path: path.to_owned(), why: why.to_owned() }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(path: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn creates_a_store_and_reopens_it() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a/b");
        let id = Folder::open(&path, true).unwrap().manifest().id.clone();
        assert_eq!(listing(&path), ["LOCK", "MANIFEST"]);
        assert_eq!(Folder::open(&path, false).unwrap().manifest().id, id);
    }

    #[test]
    fn a_second_opening_names_the_holder() {
        let temp = tempfile::tempdir().unwrap();
        let _first = Folder::open(temp.path(), true).unwrap();
        let error = Folder::open(temp.path(), true).unwrap_err();
        assert!(error.is_locked(), "{error}");
        let text = error.to_string();
        assert!(text.contains(&format!("pid {}", std::process::id())), "{text}");
    }

    #[test]
    fn creates_nothing_without_create() {
        let temp = tempfile::tempdir().unwrap();
        for path in [temp.path().to_owned(), temp.path().join("missing")] {
            let error = Folder::open(&path, false).unwrap_err();
            assert!(error.is_not_found(), "{error}");
        }
        assert_eq!(listing(temp.path()), [""; 0]);
    }

    #[test]
    fn leaves_other_folders_and_files_alone() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join("thesis.txt"), "years of work").unwrap();
        for create in [false, true] {
            let text = Folder::open(temp.path(), create).unwrap_err().to_string();
            assert!(text.contains("is not a procstate store") && text.contains("thesis.txt"), "{text}");
            let text = Folder::open(&temp.path().join("thesis.txt"), create).unwrap_err().to_string();
            assert!(text.ends_with("it is a file; a store is a folder"), "{text}");
        }
        assert_eq!(listing(temp.path()), ["thesis.txt"]);
    }

    #[test]
    fn of_two_concurrent_creations_one_waits_or_is_locked_out() {
        let temp = tempfile::tempdir().unwrap();
        for round in 0..300 {
            let path = temp.path().join(round.to_string());
            let barrier = std::sync::Barrier::new(2);
            let open = || {
                barrier.wait();
                Folder::open(&path, true).map(drop)
            };
            std::thread::scope(|scope| {
                for thread in [scope.spawn(open), scope.spawn(open)] {
                    let opened = thread.join().unwrap();
                    assert!(opened.as_ref().err().is_none_or(Error::is_locked), "{opened:?}");
                }
            });
        }
    }

    #[test]
    fn an_interrupted_creation_is_continued() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join(LOCK), "pid 1").unwrap();
        fs::write(temp.path().join(manifest::TEMPORARY), "procst").unwrap();
        assert!(Folder::open(temp.path(), false).unwrap_err().is_not_found());
        Folder::open(temp.path(), true).unwrap();
    }
}
