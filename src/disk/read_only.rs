//! A read-only view of the machine's disk: every operation that would change it fails.

use std::fs::OpenOptions;
use std::io::{Error as IoError, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::OFlags;

use super::{Disk, DiskFile, RealDisk, real};
use crate::error::{Error, Result};

#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadOnlyDisk;

fn refused<T>(action: &'static str, path: &Path) -> Result<T> {
    Err(Error::io(action, path, IoError::from(ErrorKind::ReadOnlyFilesystem)))
}

impl Disk for ReadOnlyDisk {
    fn create(&self, path: &Path) -> Result<Arc<dyn DiskFile>> {
        refused("create", path)
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn DiskFile>> {
        // Opening a pipe would block until a writer appears. With NONBLOCK it fails like a folder
        // does.
        real::open(path, "open", OFlags::NONBLOCK, OpenOptions::new().read(true))
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>> {
        RealDisk::PRIVATE.list(dir)
    }

    fn create_dir(&self, dir: &Path) -> Result<()> {
        refused("create the folder", dir)
    }

    fn rename(&self, _: &Path, to: &Path) -> Result<()> {
        refused("replace", to)
    }

    fn remove(&self, path: &Path) -> Result<()> {
        refused("delete", path)
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        refused("make durable", dir)
    }

    fn free_bytes(&self, dir: &Path) -> Result<u64> {
        RealDisk::PRIVATE.free_bytes(dir)
    }
}
