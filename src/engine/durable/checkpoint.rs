//! Checkpoints: what the memtable holds goes into the index, the newest state of
//! each key, in bounded steps.

use bytes::Bytes;

use super::base::{Base, Change, OwnerCheck, Step};
use super::memtable::{Entry, Generation};
use crate::error::Result;
use crate::record::{self, Key};

/// A step is a transaction, and readers of the index wait for it.
const STEP_RECORDS_MAX: usize = 64;
const STEP_BYTES_MAX: usize = 64 << 10;

/// How much is written between two syncs. sled reuses space as if what it wrote
/// were durable; a power cut after more than this could take old data too, and the
/// index would have to be rebuilt.
const UNSYNCED_BYTES_MAX: usize = 256 << 10;

/// Puts a generation into the index, which then has everything up to the commit
/// `to`, durably. A checkpoint that was interrupted may have left commits up to
/// `leftover` there.
pub(crate) fn apply(
    base: &dyn Base,
    generation: &Generation,
    from: u64,
    to: u64,
    leftover: u64,
) -> Result<()> {
    let mut steps = Steps::new(base, from);
    for (key, entry) in generation.iter() {
        steps.add(change(key, entry, leftover))?;
    }
    steps.finish(to)
}

fn change(key: &Key, entry: &Entry, leftover: u64) -> Change {
    let value = entry.payload.as_ref().map(|payload| record::seal(key, entry.seq, payload));
    let owner = entry.replaces.map(|replaces| OwnerCheck { key: key.clone(), replaces, leftover });
    Change { key: key.bytes().clone(), value, owner }
}

/// Changes on their way into an index.
#[derive(Debug)]
pub(crate) struct Steps<'a> {
    base: &'a dyn Base,
    from: u64,
    changes: Vec<Change>,
    bytes: usize,
    unsynced: usize,
}

impl<'a> Steps<'a> {
    pub(crate) fn new(base: &'a dyn Base, from: u64) -> Self {
        Self { base, from, changes: Vec::new(), bytes: 0, unsynced: 0 }
    }

    pub(crate) fn add(&mut self, change: Change) -> Result<()> {
        self.bytes += change.key.len() + change.value.as_ref().map_or(0, Bytes::len);
        self.changes.push(change);
        if self.changes.len() < STEP_RECORDS_MAX && self.bytes < STEP_BYTES_MAX {
            return Ok(());
        }
        self.step(self.from)?;
        if self.unsynced < UNSYNCED_BYTES_MAX {
            return Ok(());
        }
        self.unsynced = 0;
        self.base.sync()
    }

    /// Makes the last step.
    pub(crate) fn finish(mut self, to: u64) -> Result<()> {
        self.step(to)?;
        self.base.sync()
    }

    fn step(&mut self, to: u64) -> Result<()> {
        self.base.apply(&Step { changes: &self.changes, from: self.from, to })?;
        self.changes.clear();
        self.unsynced += self.bytes;
        self.bytes = 0;
        Ok(())
    }
}
