//! A new store on its way: under another name until it is complete.

use std::fs;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::error::{Error, Result};
use crate::folder::{check_target, sync_dir};

/// A folder that becomes `target`, or is gone with this value.
#[derive(Debug)]
pub(super) struct Draft {
    path: PathBuf,
    target: PathBuf,
    is_complete: bool,
}

impl Draft {
    /// Begins what is to be `target`, which is not there yet, or empty. It lies
    /// outside of `source`, of which it is made.
    pub(super) fn begin(source: &Path, target: &Path) -> Result<Self> {
        check_target(source, target)?;
        let target = std::path::absolute(target).map_err(|error| Error::io("find", target, error))?;
        let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
            return Err(Error::argument(format!("{} cannot be a new store", target.display())));
        };
        fs::create_dir_all(parent).map_err(|error| Error::io("create the folder", parent, error))?;
        let name = format!(".{}.incomplete-{}", name.to_string_lossy(), Uuid::now_v7().simple());
        let path = parent.join(name);
        fs::create_dir(&path).map_err(|error| Error::io("create the folder", &path, error))?;
        Ok(Self { path, target, is_complete: false })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its name, durably.
    pub(super) fn finish(mut self) -> Result<()> {
        sync_dir(&self.path)?;
        fs::rename(&self.path, &self.target).map_err(|error| Error::io("create", &self.target, error))?;
        self.is_complete = true;
        self.target.parent().map_or(Ok(()), sync_dir)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_complete {
            // Its name says what it is, should this fail.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
