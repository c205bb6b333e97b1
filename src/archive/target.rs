//! The path of an archive and of its draft.

use std::path::{Path, PathBuf};

/// The paths of an archive being written.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    path: PathBuf,
    /// The temporary path until the archive is complete.
    draft: PathBuf,
}

impl Target {
    /// An archive at `path`, of which this is the only writer.
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), draft: path.with_extension("new") }
    }

    /// An archive at `path` in a folder with other files.
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
