//! The location of a store's index, and its manifest.

use std::fmt::Debug;
use std::path::PathBuf;

use super::index_backend::IndexBackend;
use crate::error::Result;
use crate::folder::Manifest;
use crate::record::{Position, Writers};

/// The location of a store's index, and its manifest.
pub(crate) trait IndexDirectory: Debug + Send + Sync {
    /// The manifest of the store.
    fn manifest(&self) -> Result<Manifest>;

    /// Records that there is a log, and the last commit that index and log durably have.
    fn note(&self, position: Position, writers: Writers) -> Result<()>;

    fn exists(&self) -> bool;

    /// Opens the index, or creates it, and verifies it if `verify` is set.
    fn open(&self, verify: bool) -> Result<Box<dyn IndexBackend>>;

    /// Starts a new index next to it.
    fn begin(&self) -> Result<Box<dyn IndexBackend>>;

    /// Replaces the index by the new one, which was closed; returns where the old one is kept.
    fn adopt(&self) -> Result<Option<PathBuf>>;

    /// Replaces the old index by the new one, both of them closed, if that is smaller.
    ///
    /// Otherwise restores the copy of the old one from before it was opened, if `is_unchanged`.
    /// Keeps nothing else.
    fn adopt_smaller(&self, is_unchanged: bool) -> Result<()>;

    /// Unlocks the store.
    fn release(&self);
}
