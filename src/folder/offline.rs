//! Read-only access to the folder of a store that no program has open, however damaged.

use std::fs;
use std::path::{Path, PathBuf};

use super::listing::{Links, Listed, list};
use super::lock::Lock;
use super::{INDEX, LOCK, Layout, MANIFEST, Manifest, SNAPSHOTS, SYNCED, WAL, not_a_store};
use crate::disk::ReadOnlyDisk;
use crate::error::{Error, Failure, Result};

/// Excludes writers until it is dropped, and changes nothing.
#[derive(Debug)]
pub(crate) struct OfflineFolder {
    layout: Layout,
    lock: Lock,
}

impl OfflineFolder {
    /// Opens the store at `path`, if any part of one exists.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        if !path.exists() {
            return Err(Failure::NoStore { path: path.to_owned() }.into());
        }
        if !path.is_dir() {
            return Err(not_a_store(path, "it is a file; a store is a folder"));
        }
        if ![MANIFEST, SYNCED, WAL, SNAPSHOTS, INDEX].iter().any(|part| path.join(part).exists()) {
            return Err(Failure::NoStore { path: path.to_owned() }.into());
        }
        Ok(Self { layout: Layout::of(path), lock: Lock::shared(path)? })
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Returns every folder with an index: the current one and those that were set aside.
    pub(crate) fn index_folders(&self) -> Result<Vec<PathBuf>> {
        let failed = |error| Error::io("list the folder", self.layout.root(), error);
        let mut found = Vec::new();
        for entry in fs::read_dir(self.layout.root()).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let is_index = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(INDEX));
            if is_index && path.is_dir() {
                found.push(path);
            }
        }
        Ok(found)
    }

    /// Reads its manifest, if there is one.
    pub(crate) fn manifest(&self) -> Result<Option<Manifest>> {
        Manifest::read(&ReadOnlyDisk, self.layout.root())
    }

    /// Returns the relative paths of all regular files except the lock file, sorted.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        add_files(self.layout.root(), Links::Lead, &mut found)?;
        found.retain(|path| *path != self.layout.root().join(LOCK));
        found.sort();
        Ok(found)
    }

    /// Fails if a program has opened the store in spite of the lock.
    pub(crate) fn confirm(&self) -> Result<()> {
        self.lock.confirm(self.layout.root())
    }
}

fn add_files(dir: &Path, links: Links, found: &mut Vec<PathBuf>) -> Result<()> {
    for listed in list(dir, links)? {
        match listed {
            Listed::Folder(path) => add_files(&path, Links::End, found)?,
            Listed::File(path) => found.push(path),
        }
    }
    Ok(())
}
