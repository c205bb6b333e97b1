//! The lock file, which admits one program at a time.
//!
//! The kernel holds the lock (`flock`), so it is released however the program dies. The text in the
//! file serves the error messages of other programs.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::OFlags;

use super::layout::LOCK;
use crate::error::{Error, Failure, Result};

/// Holds the lock until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    /// `None` without a lock file: then no program has the store open.
    file: Option<File>,
}

impl Lock {
    /// Excludes all other programs, and records this one in a lock file of this mode.
    pub(super) fn exclusive(folder: &Path, mode: u32) -> Result<Self> {
        let path = path_in(folder)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(mode)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .map_err(|error| Error::io("open for writing", &path, error))?;
        taken(folder, file.try_lock())?;
        let noted = file.set_len(0).and_then(|()| file.write_all(describe_self().as_bytes()));
        noted.map_err(|error| Error::io("write", &path, error))?;
        Ok(Self { file: Some(file) })
    }

    /// Excludes writers without changing anything.
    ///
    /// Without a lock file it excludes nothing: call [`confirm`](Self::confirm) after reading.
    pub(super) fn shared(folder: &Path) -> Result<Self> {
        let path = path_in(folder)?;
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
        let file = match options.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self { file: None }),
            Err(error) => return Err(Error::io("open", &path, error)),
        };
        taken(folder, file.try_lock_shared())?;
        Ok(Self { file: Some(file) })
    }

    /// Fails if a program has opened the store in spite of this lock.
    pub(super) fn confirm(&self, folder: &Path) -> Result<()> {
        let came = self.file.is_none() && folder.join(LOCK).exists();
        if came { Err(locked(folder)) } else { Ok(()) }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            // Closing is not enough: a forked child shares the lock until it executes another
            // program.
            let _ = file.unlock();
        }
    }
}

/// Returns the path of the lock file, unless it is a pipe or a device, which may block forever.
fn path_in(folder: &Path) -> Result<PathBuf> {
    let path = folder.join(LOCK);
    match fs::symlink_metadata(&path) {
        Ok(found) if !found.is_file() => {
            let what = if found.is_symlink() { "a symbolic link" } else { "not a regular file" };
            let why = format!("it is {what}; delete it while no program has the store open");
            Err(Error::io("lock", &path, io::Error::other(why)))
        }
        // Opening it reports any other fault.
        _ => Ok(path),
    }
}

fn taken(folder: &Path, attempt: Result<(), TryLockError>) -> Result<()> {
    match attempt {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(locked(folder)),
        Err(TryLockError::Error(error)) => Err(Error::io("lock", folder.join(LOCK), error)),
    }
}

/// Returns the error that names the program that holds the lock.
fn locked(folder: &Path) -> Error {
    let holder = fs::read_to_string(folder.join(LOCK)).unwrap_or_default();
    let holder = match holder.trim() {
        "" => "another program".to_owned(),
        holder => holder.to_owned(),
    };
    Failure::Locked { path: folder.to_owned(), holder }.into()
}

fn describe_self() -> String {
    let program = std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_default();
    format!("pid {} ({program}) since {}\n", std::process::id(), Timestamp::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exclusive(folder: &Path) -> Result<Lock> {
        Lock::exclusive(folder, 0o600)
    }

    #[test]
    fn an_opening_without_a_lock_file_is_detected() {
        let temp = tempfile::tempdir().unwrap();
        let shared = Lock::shared(temp.path()).unwrap();
        shared.confirm(temp.path()).unwrap();
        drop(exclusive(temp.path()).unwrap());
        let error = shared.confirm(temp.path()).unwrap_err();
        assert!(error.is_locked(), "{error}");
        let pid = format!("in use by pid {}", std::process::id());
        assert!(error.to_string().contains(&pid), "{error}");
        // An existing lock file excludes others by itself.
        let shared = Lock::shared(temp.path()).unwrap();
        assert!(exclusive(temp.path()).unwrap_err().is_locked());
        shared.confirm(temp.path()).unwrap();
    }

    #[test]
    fn a_pipe_does_not_block() {
        let temp = tempfile::tempdir().unwrap();
        let made = std::process::Command::new("mkfifo").arg(temp.path().join(LOCK)).status().unwrap();
        assert!(made.success());
        let (told, hears) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for lock in [exclusive, Lock::shared] {
                told.send(crate::error::chain(&lock(temp.path()).unwrap_err())).unwrap();
            }
        });
        for _ in 0..2 {
            let text = hears.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
            assert!(text.contains("LOCK: it is not a regular file; delete it"), "{text}");
        }
    }

    /// As in a child that was forked while the store was open.
    #[test]
    fn a_copy_of_the_descriptor_does_not_hold_the_lock() {
        let temp = tempfile::tempdir().unwrap();
        let lock = exclusive(temp.path()).unwrap();
        let _copy = lock.file.as_ref().unwrap().try_clone().unwrap();
        drop(lock);
        exclusive(temp.path()).unwrap();
    }
}
