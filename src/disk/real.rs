//! The disk of the machine.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;

use super::mode::{PRIVATE, of_folder};
use super::{Disk, DiskFile, LINK};
use crate::error::{Error, Result};

#[derive(Debug, Clone, Copy)]
pub(crate) struct RealDisk {
    /// The permissions of created files, before the umask.
    mode: u32,
}

impl RealDisk {
    /// A disk whose files only their owner can read and write.
    pub(crate) const PRIVATE: Self = Self::creating(PRIVATE);

    pub(crate) const fn creating(mode: u32) -> Self {
        Self { mode }
    }
}

#[derive(Debug)]
struct RealFile {
    file: File,
    path: PathBuf,
}

impl RealFile {
    fn failed(&self, action: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |error| Error::io(action, &self.path, error)
    }
}

/// Opens a file without following symbolic links, which could lead to anyone's file.
pub(super) fn open(
    path: &Path,
    action: &'static str,
    flags: OFlags,
    options: &mut OpenOptions,
) -> Result<Arc<dyn DiskFile>> {
    let flags = (flags | OFlags::NOFOLLOW).bits().cast_signed();
    let opened = options.custom_flags(flags).open(path);
    let file = opened.map_err(|error| Error::io(action, path, explained(path, error)))?;
    Ok(Arc::new(RealFile { file, path: path.to_owned() }))
}

/// Explains the system's error for a symbolic link.
fn explained(path: &Path, error: io::Error) -> io::Error {
    if path.is_symlink() { io::Error::other(LINK) } else { error }
}

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(self.mode);
        open(path, "create", OFlags::empty(), &mut options)
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn DiskFile>> {
        open(path, "open", OFlags::empty(), OpenOptions::new().read(true).write(true))
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>> {
        let failed = |error| Error::io("list the folder", dir, error);
        let entries = match fs::read_dir(dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        entries.map(|entry| Ok(entry.map_err(failed)?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn create_dir(&self, dir: &Path) -> Result<()> {
        match DirBuilder::new().mode(of_folder(self.mode)).create(dir) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(Error::io("create the folder", dir, error));
            }
            _ => {}
        }
        dir.parent().map_or(Ok(()), |parent| self.sync_dir(parent))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        fs::rename(from, to).map_err(|error| Error::io("replace", to, error))
    }

    fn remove(&self, path: &Path) -> Result<()> {
        fs::remove_file(path).map_err(|error| Error::io("delete", path, error))
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        File::open(dir)
            .and_then(|file| file.sync_all())
            .map_err(|error| Error::io("make durable", dir, error))
    }

    fn free_bytes(&self, dir: &Path) -> Result<u64> {
        let found = rustix::fs::statvfs(dir);
        let found = found.map_err(|error| Error::io("ask for the free space of", dir, error.into()))?;
        // File systems without blocks, such as some in user space, do not report free space.
        let is_known = found.f_blocks > 0;
        Ok(if is_known { found.f_bavail.saturating_mul(found.f_frsize) } else { u64::MAX })
    }
}

impl DiskFile for RealFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.file.write_all_at(bytes, offset).map_err(self.failed("write"))
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> Result<usize> {
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed("read")(error)),
            }
        }
        Ok(filled)
    }

    fn len(&self) -> Result<u64> {
        self.file.metadata().map(|metadata| metadata.len()).map_err(self.failed("read the length of"))
    }

    fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(self.failed("make durable"))
    }
}
