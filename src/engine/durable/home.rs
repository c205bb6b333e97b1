//! The index in a store's folder.

use std::fs;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use super::base::{Base, Home};
use crate::error::{Error, Failure, Result};
use crate::folder::{Folder, sync_dir};
use crate::index::{self, Index};

#[derive(Debug)]
pub(crate) struct FolderHome {
    /// Keeps the store locked; `None` once it is released.
    folder: Mutex<Option<Folder>>,
    index: PathBuf,
    options: index::Options,
}

impl FolderHome {
    pub(crate) fn new(folder: Folder, options: index::Options) -> Self {
        Self { index: folder.layout().index(), folder: Mutex::new(Some(folder)), options }
    }

    /// Where an index is that is being built.
    fn new_index(&self) -> PathBuf {
        self.index.with_extension("new")
    }

    /// Where the next damaged index is kept.
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

impl Home for FolderHome {
    fn noted(&self) -> Option<u64> {
        self.folder.lock().as_ref()?.manifest().index_seq
    }

    fn has_log(&self) -> bool {
        self.folder.lock().as_ref().is_some_and(|folder| folder.manifest().must_have_log())
    }

    fn note(&self, seq: u64) -> Result<()> {
        self.folder.lock().as_mut().ok_or(Failure::Closed)?.set_index_seq(seq)
    }

    fn exists(&self) -> bool {
        self.index.join("db").exists()
    }

    fn open(&self) -> Result<Box<dyn Base>> {
        remove(&self.new_index())?;
        if self.noted().is_none() {
            // Its creation was interrupted: sled may not open what is there, and
            // nothing was acknowledged yet.
            remove(&self.index)?;
        }
        Ok(Box::new(Index::open(&self.index, &self.options)?))
    }

    fn begin(&self) -> Result<Box<dyn Base>> {
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

    fn release(&self) {
        *self.folder.lock() = None;
    }
}
