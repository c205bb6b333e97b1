//! Where an archive is to be.

use std::path::{Path, PathBuf};

/// The names of an archive that is written.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    path: PathBuf,
    /// What it is called until it is complete.
    draft: PathBuf,
}

impl Target {
    /// An archive `path` of which nobody else writes a draft.
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), draft: path.with_extension("new") }
    }

    /// An archive `path` beside anybody's files.
    pub(crate) fn among_others(path: &Path) -> Self {
        let mut draft = path.as_os_str().to_owned();
        draft.push(format!(".{}.new", uuid::Uuid::now_v7().simple()));
        Self { path: path.to_owned(), draft: draft.into() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn draft(&self) -> &Path {
        &self.draft
    }
}
