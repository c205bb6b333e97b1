//! Checkpoints: what the memtable holds goes into the index, the newest state of
//! each key, in bounded steps.

use bytes::Bytes;

use super::base::{Base, Change, OwnerCheck, Step};
use super::memtable::{Entry, Generation};
use crate::error::Result;
use crate::record::{self, Key, Position};

/// A step is a transaction, and readers of the index wait for it.
const STEP_RECORDS_MAX: usize = 64;

/// Where nobody waits. Each step makes sled write its buffers twice, however little is in
/// them; far larger ones write more than they must, since within a step sled does not go by
/// the order of the keys.
const STEP_RECORDS_ALONE_MAX: usize = 256;

const STEP_BYTES_MAX: usize = 64 << 10;

/// How much is written between two syncs. sled reuses space as if what it wrote
/// were durable; a power cut after more than this could take old data too, and the
/// index would have to be rebuilt.
const UNSYNCED_BYTES_MAX: usize = 256 << 10;

/// A checkpoint to be written.
#[derive(Clone, Copy)]
pub(crate) struct Checkpoint<'a> {
    pub(crate) generation: &'a Generation,
    /// The commit up to which the index has everything, before.
    pub(crate) from: u64,
    /// And after, durably.
    pub(crate) to: Position,
    /// The commit up to which a checkpoint that was interrupted may have left something.
    pub(crate) leftover: u64,
    /// Whether nobody reads the index meanwhile, or who does may wait.
    pub(crate) is_alone: &'a dyn Fn() -> bool,
}

impl Checkpoint<'_> {
    /// Puts the generation into the index.
    pub(crate) fn apply(self, base: &dyn Base) -> Result<()> {
        let mut steps = Steps::new(base, self.from, self.is_alone);
        for (key, entry) in self.generation.iter() {
            steps.add(change(key, entry, self.leftover))?;
        }
        steps.finish(self.to)
    }
}

fn change(key: &Key, entry: &Entry, leftover: u64) -> Change {
    let value = entry.payload.as_ref().map(|payload| record::seal(key, entry.seq, payload));
    let owner = entry.replaces.map(|replaces| OwnerCheck { key: key.clone(), replaces, leftover });
    Change { key: key.bytes().clone(), value, owner }
}

/// Changes on their way into an index.
pub(crate) struct Steps<'a> {
    base: &'a dyn Base,
    from: u64,
    is_alone: &'a dyn Fn() -> bool,
    changes: Vec<Change>,
    bytes: usize,
    unsynced: usize,
}

impl<'a> Steps<'a> {
    pub(crate) fn new(base: &'a dyn Base, from: u64, is_alone: &'a dyn Fn() -> bool) -> Self {
        Self { base, from, is_alone, changes: Vec::new(), bytes: 0, unsynced: 0 }
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
        self.base.sync()
    }

    fn is_step(&self) -> bool {
        let records = self.changes.len();
        self.bytes >= STEP_BYTES_MAX
            || records >= STEP_RECORDS_ALONE_MAX
            || (records >= STEP_RECORDS_MAX && !(self.is_alone)())
    }

    /// Makes the last step.
    pub(crate) fn finish(mut self, to: Position) -> Result<()> {
        self.step(Some(to))?;
        self.base.sync()
    }

    fn step(&mut self, to: Option<Position>) -> Result<()> {
        self.base.apply(&Step { changes: &self.changes, from: self.from, to })?;
        self.changes.clear();
        self.unsynced += self.bytes;
        self.bytes = 0;
        Ok(())
    }
}
