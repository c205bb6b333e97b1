//! A new store under construction, with a temporary name until it is complete.

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use uuid::Uuid;

use crate::engine;
use crate::error::{Error, Failure, Result};
use crate::folder::{Folder, check_target, sync_dir};
use crate::index;
use crate::recovery::options::Options;
use crate::recovery::verify::verify;

/// The folder of what becomes `target`; dropping it removes the folder.
#[derive(Debug)]
pub(crate) struct NewStore {
    folder: PathBuf,
    target: PathBuf,
}

impl NewStore {
    /// Starts a new store at `target`, which must be missing or empty and outside of `source`.
    pub(crate) fn begin(source: &Path, target: &Path) -> Result<Self> {
        let target = std::path::absolute(target).map_err(|error| Error::io("find", target, error))?;
        let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
            return Err(Error::argument(format!("{} cannot be a new store", target.display())));
        };
        // Without a trailing slash, which would follow a symbolic link.
        let target = parent.join(name);
        if target.is_symlink() {
            let why = "is a symbolic link, and a new store is a folder; name that, or a new one";
            return Err(Error::argument(format!("{} {why}", target.display())));
        }
        check_target(source, &target)?;
        fs::create_dir_all(parent).map_err(|error| Error::io("create the folder", parent, error))?;
        let name = format!(".{}.incomplete-{}", name.to_string_lossy(), Uuid::now_v7().simple());
        let folder = parent.join(name);
        private().create(&folder).map_err(|error| Error::io("create the folder", &folder, error))?;
        let new_store = Self { folder, target };
        let path = new_store.path();
        private().create(&path).map_err(|error| Error::io("create the folder", &path, error))?;
        Ok(new_store)
    }

    /// Returns the current path of the new store.
    fn path(&self) -> PathBuf {
        self.folder.join("store")
    }

    /// Fills the store with these records, in key order, as of the commit `seq`.
    pub(crate) fn fill(
        &self,
        seq: u64,
        mut records: impl Iterator<Item = Result<(Bytes, Bytes)>>,
    ) -> Result<()> {
        let folder = Folder::open(&self.path(), true)?;
        engine::create(folder, &index::Options::default(), seq, &mut records)
    }

    /// Verifies the new store with a copy of its index in `scratch`, or beside it, calls `confirm`,
    /// and durably renames the store to its target.
    pub(crate) fn finish(self, scratch: Option<&Path>, confirm: impl FnOnce() -> Result<()>) -> Result<()> {
        let path = self.path();
        match scratch {
            Some(scratch) => check(&path, scratch)?,
            None => check(&path, &self.folder).map_err(|error| self.without_room(error))?,
        }
        confirm()?;
        sync_dir(&path)?;
        fs::rename(&path, &self.target).map_err(|error| Error::io("create", &self.target, error))?;
        self.target.parent().map_or(Ok(()), sync_dir)
    }
}

impl NewStore {
    /// Without a choice of another folder, a full disk is that of the target.
    fn without_room(&self, error: Error) -> Error {
        let Failure::NoRoom { needed, free, .. } = error.failure() else { return error };
        let why = format!("verifying the new store takes {needed} bytes more, and {free} are free");
        let source = io::Error::new(ErrorKind::StorageFull, why);
        Failure::DiskFull { path: self.target.clone(), source }.into()
    }
}

/// Returns a builder of folders that only their user can access.
fn private() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

impl Drop for NewStore {
    fn drop(&mut self) {
        // Its name shows what it is, should this fail.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Fails unless the new store is intact.
fn check(store: &Path, scratch: &Path) -> Result<()> {
    let mut first = None;
    let verified = verify(store, Options::default().scratch(scratch), |finding| {
        first.get_or_insert(finding.what);
    })?;
    if verified.is_sound() {
        return Ok(());
    }
    let why = first.or(verified.refused).unwrap_or_default();
    Err(Failure::Corrupt { place: "the new store".to_owned(), why: format!("{why}. It was deleted again") }
        .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(folder: &Path) -> NewStore {
        let new_store = NewStore::begin(&folder.join("source"), &folder.join("new")).unwrap();
        new_store.fill(1, std::iter::empty()).unwrap();
        new_store
    }

    fn is_empty(folder: &Path) -> bool {
        fs::read_dir(folder).unwrap().next().is_none()
    }

    #[test]
    fn a_store_opened_meanwhile_is_not_copied() {
        let temp = tempfile::tempdir().unwrap();
        let failure = || Err(Failure::Closed.into());
        begun(temp.path()).finish(None, failure).unwrap_err();
        assert!(is_empty(temp.path()));
        begun(temp.path()).finish(None, || Ok(())).unwrap();
        let names: Vec<_> =
            fs::read_dir(temp.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["new"]);
    }

    #[test]
    fn no_space_for_verifying_is_a_full_disk() {
        let temp = tempfile::tempdir().unwrap();
        let error = Failure::NoRoom { path: temp.path().to_owned(), needed: 9, free: 5 }.into();
        let error = begun(temp.path()).without_room(error);
        assert!(error.is_disk_full() && !error.to_string().contains("--scratch"), "{error}");
        assert!(error.to_string().contains("takes 9 bytes more, and 5 are free"), "{error}");
    }

    #[test]
    fn a_damaged_new_store_is_not_renamed() {
        let temp = tempfile::tempdir().unwrap();
        let new_store = begun(temp.path());
        fs::write(new_store.path().join("MANIFEST"), "procstate store\n").unwrap();
        let error = new_store.finish(None, || Ok(())).unwrap_err();
        assert!(error.to_string().contains("the new store is damaged"), "{error}");
        assert!(is_empty(temp.path()));
    }
}
