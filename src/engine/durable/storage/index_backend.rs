//! The index under log and memtable, as a trait: tests put an index there that loses what was not
//! synced.

use std::fmt::Debug;

use bytes::Bytes;

use crate::engine::index_records::open_version;
use crate::error::{Failure, Result};
use crate::index::{Contents, Visit};
use crate::record::{Key, Position};

/// An ordered map of records. The memtable holds what it lacks.
pub(crate) trait IndexBackend: Debug + Send + Sync {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>>;

    /// Visits the records from `start` up to but not including `end`. It may show either state of a
    /// record that changes meanwhile.
    fn scan(&self, start: &[u8], end: &[u8], visit: &mut dyn Visit) -> Result<()>;

    /// A summary of all records.
    fn contents(&self) -> Result<Contents>;

    /// Applies a step, all of it or nothing.
    fn apply(&self, step: &Step<'_>) -> Result<()>;

    /// Makes every step so far survive power loss.
    fn sync(&self) -> Result<()>;

    fn disk_bytes(&self) -> Result<u64>;

    /// Closes its files.
    fn close(self: Box<Self>) -> Result<()>;
}

/// A part of a checkpoint.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    pub(crate) changes: &'a [Change],
    /// The commit up to which the index has everything, before.
    pub(crate) from: u64,
    /// The same after this step, if it is the last.
    pub(crate) to: Option<Position>,
}

#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) key: Bytes,
    /// The envelope; `None` deletes.
    pub(crate) value: Option<Bytes>,
    pub(crate) owner: Option<OwnerCheck>,
}

/// Which owner record a change may replace: only the one that the log says it replaces.
#[derive(Debug, Clone)]
pub(crate) struct OwnerCheck {
    pub(crate) key: Key,
    /// The version of that one; 0 for none.
    pub(crate) replaces: u64,
    /// An interrupted checkpoint may have left any version up to this one, or none; 0 if none was
    /// interrupted.
    pub(crate) leftover: u64,
}

impl OwnerCheck {
    fn allows(&self, found: u64, applied: u64) -> bool {
        let is_leftover = found == 0 || applied < found;
        found == self.replaces || (is_leftover && self.leftover > 0 && found <= self.leftover)
    }

    /// Checks the value that is about to be replaced.
    pub(crate) fn check(&self, found: Option<&Bytes>, applied: u64) -> Result<()> {
        let version = found.map_or(Ok(0), |value| open_version(&self.key, value))?;
        if self.allows(version, applied) {
            return Ok(());
        }
        let why = format!(
            "the index has its version {version} and the log replaces version {}: the index was changed by someone else",
            self.replaces
        );
        Err(Failure::Corrupt { place: self.key.describe(), why }.into())
    }
}

/// Checks that nobody else has changed the index.
pub(crate) fn check_from(found: u64, step: &Step<'_>) -> Result<()> {
    if found == step.from {
        return Ok(());
    }
    let why = format!(
        "it has everything up to commit {found}, and should up to {}: it was changed by someone else",
        step.from
    );
    Err(Failure::Corrupt { place: "the index".to_owned(), why }.into())
}
