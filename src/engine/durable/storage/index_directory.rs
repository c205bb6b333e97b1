//! Where the index of a store lives, and what the manifest notes of it.

use std::fmt::Debug;
use std::path::PathBuf;

use super::index_backend::IndexBackend;
use crate::error::Result;
use crate::record::{Position, Writers};

/// Where the index of a store lives, and what is noted of it.
pub(crate) trait IndexDirectory: Debug + Send + Sync {
    /// The commit up to which the index had everything when this was noted; `None`
    /// before the store was completed.
    fn noted(&self) -> Option<Position>;

    /// Whether there must be a log: not before the store was completed, and not in
    /// a store of an earlier format.
    fn has_log(&self) -> bool;

    /// Whether there must be a note of what is synced: not before the store was completed,
    /// and not in a store of an earlier format.
    fn has_synced(&self) -> bool;

    /// Notes that there is a log, and up to which commit index and log durably have
    /// everything.
    fn note(&self, position: Position, writers: Writers) -> Result<()>;

    /// Who can have written the newest commit of the log, as it was noted.
    fn writers(&self) -> Writers;

    fn exists(&self) -> bool;

    /// Opens the index, and creates it if there is none.
    fn open(&self) -> Result<Box<dyn IndexBackend>>;

    /// Begins another index beside it.
    fn begin(&self) -> Result<Box<dyn IndexBackend>>;

    /// Puts the index that was begun, and closed, in its place. Answers where the
    /// one that was there is kept.
    fn adopt(&self) -> Result<Option<PathBuf>>;

    /// Puts the index that was begun, and closed, in place of the one that is there, closed
    /// too, if it takes less; or else leaves that as it was before it was opened, if what it
    /// holds is the same. Keeps nothing else.
    fn adopt_smaller(&self, is_unchanged: bool) -> Result<()>;

    /// Lets others have the store.
    fn release(&self);
}
