//! Where the parts of a store are.

use std::path::{Path, PathBuf};

use super::{INDEX, MANIFEST, SNAPSHOTS, SYNCED, WAL};

/// The paths in a store's folder.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(super) fn of(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn manifest(&self) -> PathBuf {
        self.root.join(MANIFEST)
    }

    pub(crate) fn synced(&self) -> PathBuf {
        self.root.join(SYNCED)
    }

    pub(crate) fn wal(&self) -> PathBuf {
        self.root.join(WAL)
    }

    pub(crate) fn snapshots(&self) -> PathBuf {
        self.root.join(SNAPSHOTS)
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.root.join(INDEX)
    }
}
