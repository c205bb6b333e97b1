//! The layout of a store's folder.

use std::path::{Path, PathBuf};

pub(super) const LOCK: &str = "LOCK";
pub(super) const MANIFEST: &str = "MANIFEST";
pub(super) const SYNCED: &str = "SYNCED";
pub(super) const WAL: &str = "wal";
pub(super) const SNAPSHOTS: &str = "snapshots";
pub(super) const INDEX: &str = "index";
pub(super) const VERIFYING: &str = "VERIFYING";

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
