//! Applies changes to an index in bounded steps, with a sync after a certain number of bytes.

use bytes::Bytes;

use super::index_backend::{Change, IndexBackend, Step};
use crate::error::Result;
use crate::record::Position;

/// The records per step, which is a transaction that blocks readers.
const STEP_RECORDS_MAX: usize = 64;

/// The records per step without waiting readers. sled writes its buffers twice per step, however
/// small; but much larger steps write more than necessary, since sled does not keep keys in order
/// within a step.
const STEP_RECORDS_ALONE_MAX: usize = 256;

const STEP_BYTES_MAX: usize = 64 << 10;

/// The bytes between two syncs. sled reuses space as if its writes were durable: with more than
/// this, a power cut could also take old data, and the index would have to be rebuilt.
const UNSYNCED_BYTES_MAX: usize = 256 << 10;

/// Changes being applied to an index.
pub(crate) struct Steps<'a> {
    index: &'a dyn IndexBackend,
    from: u64,
    is_alone: &'a dyn Fn() -> bool,
    changes: Vec<Change>,
    bytes: usize,
    unsynced: usize,
}

impl<'a> Steps<'a> {
    pub(crate) fn new(index: &'a dyn IndexBackend, from: u64, is_alone: &'a dyn Fn() -> bool) -> Self {
        Self { index, from, is_alone, changes: Vec::new(), bytes: 0, unsynced: 0 }
    }

    pub(crate) fn add(&mut self, change: Change) -> Result<()> {
        self.bytes += change.key.len() + change.value.as_ref().map_or(0, Bytes::len);
        self.changes.push(change);
        if !self.is_step() {
            return Ok(());
        }
        self.step(None)?;
        if self.unsynced < UNSYNCED_BYTES_MAX {
            return Ok(());
        }
        self.unsynced = 0;
        self.index.sync()
    }

    fn is_step(&self) -> bool {
        let records = self.changes.len();
        self.bytes >= STEP_BYTES_MAX
            || records >= STEP_RECORDS_ALONE_MAX
            || (records >= STEP_RECORDS_MAX && !(self.is_alone)())
    }

    /// Applies the last step.
    pub(crate) fn finish(mut self, to: Position) -> Result<()> {
        self.step(Some(to))?;
        self.index.sync()
    }

    fn step(&mut self, to: Option<Position>) -> Result<()> {
        self.index.apply(&Step { changes: &self.changes, from: self.from, to })?;
        self.changes.clear();
        self.unsynced += self.bytes;
        self.bytes = 0;
        Ok(())
    }
}

/// Keys and values in order.
pub(crate) type Records<'a> = dyn Iterator<Item = Result<(Bytes, Bytes)>> + 'a;

/// Fills an empty index with the records as of the commit `position`.
pub(crate) fn fill(index: &dyn IndexBackend, position: Position, records: &mut Records<'_>) -> Result<()> {
    let mut steps = Steps::new(index, 0, &|| true);
    for record in records {
        let (key, value) = record?;
        steps.add(Change { key, value: Some(value), owner: None })?;
    }
    steps.finish(position)
}
