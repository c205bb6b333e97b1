//! The index in a store's folder.

use std::fs;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use super::index_backend::IndexBackend;
use super::index_directory::IndexDirectory;
use crate::error::{Error, Failure, Result};
use crate::folder::{Folder, Manifest, copy_dir, dir_bytes, sync_dir, sync_tree};
use crate::index::{self, Index};
use crate::record::{Position, Writers};

#[derive(Debug)]
pub(crate) struct StoreFolder {
    /// Holds the store's lock; `None` once released.
    folder: Mutex<Option<Folder>>,
    index: PathBuf,
    options: index::Options,
    /// Whether to copy the index before opening it.
    keeps: bool,
}

impl StoreFolder {
    pub(crate) fn new(folder: Folder, options: index::Options) -> Self {
        let options = index::Options { store: folder.manifest().id_bytes(), mode: folder.mode(), ..options };
        Self { index: folder.layout().index(), folder: Mutex::new(Some(folder)), options, keeps: false }
    }

    /// Creates a directory that copies the index before opening it, since sled writes to what it
    /// opens.
    pub(crate) fn keeping(folder: Folder, options: index::Options) -> Self {
        Self { keeps: true, ..Self::new(folder, options) }
    }

    /// Returns the path of a new index.
    fn new_index(&self) -> PathBuf {
        self.index.with_extension("new")
    }

    /// Returns the path of the copy from before the index was opened.
    fn index_before(&self) -> PathBuf {
        self.index.with_extension("before")
    }

    /// Copies the index, if it is readable. Otherwise opening it reports the damage.
    fn keep(&self) -> Result<()> {
        if !self.keeps || !self.exists() || index::check_files(&self.index).is_err() {
            return Ok(());
        }
        let before = self.index_before();
        let copied = copy_dir(&self.index, &before).map_err(Error::before_writing);
        let Err(error) = copied.and_then(|()| sync_tree(&before)) else { return Ok(()) };
        remove(&before)?;
        if error.is_disk_full() { Err(error) } else { Ok(()) }
    }

    /// Replaces the index.
    fn put_in_place(&self, index: &Path) -> Result<()> {
        if index != self.new_index() {
            remove(&self.new_index())?;
            rename(index, &self.new_index())?;
        }
        self.adopt()?.map_or(Ok(()), |replaced| remove(&replaced))
    }

    /// Returns a free name for a damaged index.
    fn aside(&self) -> PathBuf {
        let free =
            (1..).map(|n| self.index.with_extension(format!("damaged-{n}"))).find(|path| !path.exists());
        free.unwrap_or_default()
    }
}

fn remove(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).map_err(|error| Error::io("remove", dir, error))?;
    }
    Ok(())
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|error| Error::io("rename", from, error))
}

impl IndexDirectory for StoreFolder {
    fn manifest(&self) -> Result<Manifest> {
        Ok(self.folder.lock().as_ref().ok_or(Failure::Closed)?.manifest().clone())
    }

    fn note(&self, position: Position, writers: Writers) -> Result<()> {
        self.folder.lock().as_mut().ok_or(Failure::Closed)?.set_index(position, writers)
    }

    fn exists(&self) -> bool {
        self.index.join("db").exists()
    }

    fn open(&self, verify: bool) -> Result<Box<dyn IndexBackend>> {
        remove(&self.new_index())?;
        remove(&self.index_before())?;
        if self.manifest()?.noted().is_none() {
            // Its creation was interrupted: sled may not open it, and nothing was acknowledged yet.
            remove(&self.index)?;
        }
        self.keep()?;
        Ok(Box::new(Index::open(&self.index, &index::Options { verify, ..self.options.clone() })?))
    }

    fn begin(&self) -> Result<Box<dyn IndexBackend>> {
        remove(&self.new_index())?;
        Ok(Box::new(Index::open(&self.new_index(), &self.options)?))
    }

    fn adopt(&self) -> Result<Option<PathBuf>> {
        let kept = self.index.exists().then(|| self.aside());
        if let Some(kept) = &kept {
            rename(&self.index, kept)?;
        }
        rename(&self.new_index(), &self.index)?;
        self.index.parent().map_or(Ok(()), sync_dir)?;
        Ok(kept)
    }

    fn adopt_smaller(&self, is_unchanged: bool) -> Result<()> {
        let (new, before) = (self.new_index(), self.index_before());
        let is_kept = is_unchanged && before.exists();
        let old = if is_kept { &before } else { &self.index };
        if dir_bytes(&new)? < dir_bytes(old)? {
            self.put_in_place(&new)?;
        } else if is_kept {
            self.put_in_place(&before)?;
        }
        remove(&new)?;
        remove(&before)
    }

    fn release(&self) {
        *self.folder.lock() = None;
    }
}
