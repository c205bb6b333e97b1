//! A disk in memory that loses nothing: fast, and its files are whatever bytes a
//! fuzzer made.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::{Disk, DiskFile};
use crate::error::{Error, Result};

/// A file that is to be longer finds no space.
const FILE_BYTES_MAX: usize = 64 << 20;

#[derive(Debug, Clone, Default)]
pub(super) struct Shelf {
    files: Arc<Mutex<BTreeMap<PathBuf, Book>>>,
}

#[derive(Debug, Clone, Default)]
struct Book {
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Shelf {
    pub(super) fn put(&self, path: &Path, bytes: &[u8]) {
        *self.book(path).bytes.lock() = bytes.to_vec();
    }

    pub(super) fn get(&self, path: &Path) -> Vec<u8> {
        self.book(path).bytes.lock().clone()
    }

    fn book(&self, path: &Path) -> Book {
        self.files.lock().entry(path.to_owned()).or_default().clone()
    }
}

impl Disk for Shelf {
    fn create(&self, path: &Path) -> Result<Arc<dyn DiskFile>> {
        self.put(path, &[]);
        self.open(path)
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn DiskFile>> {
        match self.files.lock().get(path) {
            Some(book) => Ok(Arc::new(book.clone())),
            None => Err(Error::io("open", path, ErrorKind::NotFound.into())),
        }
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>> {
        let files = self.files.lock();
        let names = files.keys().filter_map(|path| path.strip_prefix(dir).ok());
        Ok(names.map(|name| name.display().to_string()).collect())
    }

    fn create_dir(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let mut files = self.files.lock();
        if let Some(book) = files.remove(from) {
            files.insert(to.to_owned(), book);
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<()> {
        self.files.lock().remove(path);
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn free_bytes(&self, _: &Path) -> Result<u64> {
        Ok(u64::MAX)
    }
}

impl DiskFile for Book {
    fn write_at(&self, new: &[u8], offset: u64) -> Result<()> {
        let mut bytes = self.bytes.lock();
        let at = usize::try_from(offset).unwrap();
        if at + new.len() > FILE_BYTES_MAX {
            return Err(Error::io("write", "a book", ErrorKind::StorageFull.into()));
        }
        let len = bytes.len().max(at + new.len());
        bytes.resize(len, 0);
        bytes[at..at + new.len()].copy_from_slice(new);
        Ok(())
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> Result<usize> {
        let bytes = self.bytes.lock();
        let from = usize::try_from(offset).unwrap().min(bytes.len());
        let read = into.len().min(bytes.len() - from);
        into[..read].copy_from_slice(&bytes[from..from + read]);
        Ok(read)
    }

    fn len(&self) -> Result<u64> {
        Ok(self.bytes.lock().len() as u64)
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }
}
