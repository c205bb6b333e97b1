//! Where the index of a store lives, and what the manifest notes of it.

use std::fmt::Debug;
use std::path::PathBuf;

use super::index_backend::IndexBackend;
use crate::error::Result;
use crate::folder::Manifest;
use crate::record::{Position, Writers};

/// Where the index of a store lives, and what is noted of it.
pub(crate) trait IndexDirectory: Debug + Send + Sync {
    /// The manifest of the store.
    fn manifest(&self) -> Result<Manifest>;

    /// Notes that there is a log, and up to which commit index and log durably have
    /// everything.
    fn note(&self, position: Position, writers: Writers) -> Result<()>;

    fn exists(&self) -> bool;

    /// Opens the index, and creates it if there is none.
    fn open(&self) -> Result<Box<dyn IndexBackend>>;

    /// Begins a new index beside it.
    fn begin(&self) -> Result<Box<dyn IndexBackend>>;

    /// Puts the new index, which was closed, in its place. Answers where the one before is kept.
    fn adopt(&self) -> Result<Option<PathBuf>>;

    /// Puts the new index in place of the old one, both of which were closed, if it takes less
    /// space. Otherwise puts back the copy of the old one from before it was opened, if
    /// `is_unchanged`. Keeps nothing else.
    fn adopt_smaller(&self, is_unchanged: bool) -> Result<()>;

    /// Unlocks the store.
    fn release(&self);
}
