//! The lock file: one program at a time.
//!
//! The lock is the kernel's (`flock`), so it goes with the program that held it,
//! however that died. The text in the file is for the error message of others.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::Path;

use jiff::Timestamp;

use super::LOCK;
use crate::error::{Error, Failure, Result};

/// Held for as long as it lives.
#[derive(Debug)]
pub(super) struct Lock {
    /// `None` where there is no lock file: then nobody has the store open.
    _file: Option<File>,
}

impl Lock {
    /// Keeps every other program out, and notes who this one is.
    pub(super) fn exclusive(folder: &Path) -> Result<Self> {
        let path = folder.join(LOCK);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| Error::io("open for writing", &path, error))?;
        taken(folder, file.try_lock())?;
        let noted = file.set_len(0).and_then(|()| file.write_all(describe_self().as_bytes()));
        noted.map_err(|error| Error::io("write", &path, error))?;
        Ok(Self { _file: Some(file) })
    }

    /// Keeps writers out, and changes nothing.
    pub(super) fn shared(folder: &Path) -> Result<Self> {
        let path = folder.join(LOCK);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self { _file: None }),
            Err(error) => return Err(Error::io("open", &path, error)),
        };
        taken(folder, file.try_lock_shared())?;
        Ok(Self { _file: Some(file) })
    }
}

fn taken(folder: &Path, attempt: Result<(), TryLockError>) -> Result<()> {
    match attempt {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            let holder = fs::read_to_string(folder.join(LOCK)).unwrap_or_default();
            let holder = match holder.trim() {
                "" => "another program".to_owned(),
                holder => holder.to_owned(),
            };
            Err(Failure::Locked { path: folder.to_owned(), holder }.into())
        }
        Err(TryLockError::Error(error)) => Err(Error::io("lock", folder.join(LOCK), error)),
    }
}

fn describe_self() -> String {
    let program = std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_default();
    format!("pid {} ({program}) since {}\n", std::process::id(), Timestamp::now())
}
