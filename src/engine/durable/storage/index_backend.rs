//! The index as a trait, so that tests can use one that loses unsynced changes.

use std::fmt::Debug;

use bytes::Bytes;

use crate::engine::index_records::open_version;
use crate::error::{Failure, Result};
use crate::index::{Contents, Visit};
use crate::record::{Key, Position};

/// An ordered map of records, which lacks what is in the memtable.
pub(crate) trait IndexBackend: Debug + Send + Sync {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>>;

    /// Visits the records from `start` up to but not including `end`.
    ///
    /// A concurrently changed record is visited in either state.
    fn scan(&self, start: &[u8], end: &[u8], visit: &mut dyn Visit) -> Result<()>;

    /// Returns a summary of all records.
    fn contents(&self) -> Result<Contents>;

    /// Fails unless all records are those that its last commit left, or `stop` returns true.
    ///
    /// Nothing may change them meanwhile.
    fn verify(&self, stop: &(dyn Fn() -> bool + Sync)) -> Result<()>;

    /// Applies a step atomically.
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
    /// The last commit in the index before the step.
    pub(crate) from: u64,
    /// The last commit in the index after it, if it is the last step.
    pub(crate) to: Option<Position>,
}

#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) key: Bytes,
    /// The envelope; `None` deletes.
    pub(crate) value: Option<Bytes>,
    pub(crate) owner: Option<OwnerCheck>,
}

/// The owner version that a change may replace according to the log.
#[derive(Debug, Clone)]
pub(crate) struct OwnerCheck {
    pub(crate) key: Key,
    /// The replaced version; 0 for none.
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
            "the index has its version {version}, but the log replaces version {}: the index was changed from outside",
            self.replaces
        );
        Err(Failure::Corrupt { place: self.key.describe(), why }.into())
    }
}

/// Checks that the index was not changed from outside.
pub(crate) fn check_from(found: u64, step: &Step<'_>) -> Result<()> {
    if found == step.from {
        return Ok(());
    }
    let why = format!(
        "it ends with commit {found}, but should end with {}: it was changed from outside",
        step.from
    );
    Err(Failure::Corrupt { place: "the index".to_owned(), why }.into())
}
