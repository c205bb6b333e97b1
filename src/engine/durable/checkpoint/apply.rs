//! Applies a checkpoint: moves the newest state of each key in the memtable to the index in bounded
//! steps.

use crate::engine::durable::memtable::{Entry, Generation};
use crate::engine::durable::storage::{Change, IndexBackend, OwnerCheck, Steps};
use crate::error::Result;
use crate::record::{self, Key, Position};

/// A checkpoint to apply.
#[derive(Clone, Copy)]
pub(crate) struct Checkpoint<'a> {
    pub(crate) generation: &'a Generation,
    /// The last commit in the index before it.
    pub(crate) from: u64,
    /// The last commit in the index after it, durably.
    pub(crate) to: Position,
    /// The commit up to which an interrupted checkpoint may have left changes.
    pub(crate) leftover: u64,
    /// Whether no reader uses the index, or readers may wait.
    pub(crate) is_alone: &'a dyn Fn() -> bool,
}

impl Checkpoint<'_> {
    /// Applies the generation to the index.
    pub(crate) fn apply(self, index: &dyn IndexBackend) -> Result<()> {
        let mut steps = Steps::new(index, self.from, self.is_alone);
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
