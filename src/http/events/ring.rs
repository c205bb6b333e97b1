//! The last blocks, for slow and reconnecting clients.

use std::collections::VecDeque;
use std::sync::Arc;

use super::block::Block;

/// The number of blocks kept: some minutes of a busy store.
const BLOCKS_MAX: usize = 1024;

/// The maximum total size of the blocks.
const BYTES_MAX: usize = 16 << 20;

#[derive(Debug, Default)]
pub(super) struct Ring {
    blocks: VecDeque<Arc<Block>>,
    bytes: usize,
    /// The number of the oldest block.
    first: u64,
    /// The blocks include every commit after this one.
    since: u64,
}

/// The position of a client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At this block, having received everything before.
    At(u64),
    /// At this block, having possibly missed changes before.
    Lost(u64),
}

impl Ring {
    /// Returns a ring for all commits after `since`, whose blocks are numbered from `first`.
    pub(super) fn new(first: u64, since: u64) -> Self {
        Self { first, since, ..Self::default() }
    }

    pub(super) fn push(&mut self, block: Block) {
        self.bytes += block.size();
        self.blocks.push_back(Arc::new(block));
        while self.blocks.len() > BLOCKS_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.blocks.pop_front() else { break };
            self.bytes -= oldest.size();
            self.first += 1;
            self.since = oldest.seq;
        }
    }

    /// Returns the number of the next block.
    pub(super) fn end(&self) -> u64 {
        self.first + self.blocks.len() as u64
    }

    /// Returns the last commit in the blocks.
    pub(super) fn seq(&self) -> u64 {
        self.blocks.back().map_or(self.since, |block| block.seq)
    }

    /// Returns the position of a client that has received all commits up to `seq`.
    pub(super) fn after(&self, seq: u64) -> Place {
        if seq < self.since || seq > self.seq() {
            return Place::Lost(self.end());
        }
        let heard = self.blocks.partition_point(|block| block.seq <= seq);
        Place::At(self.first + heard as u64)
    }

    /// Returns the block `number`, if it exists already.
    pub(super) fn get(&self, number: u64) -> Result<Option<Arc<Block>>, Place> {
        let Some(index) = number.checked_sub(self.first) else { return Err(Place::Lost(self.end())) };
        Ok(usize::try_from(index).ok().and_then(|index| self.blocks.get(index)).cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Change, ChangeSet, Changed};

    fn push(ring: &mut Ring, seq: u64) {
        let changes = vec![Change { process: "p".to_owned(), what: Changed::Status, removed: false }];
        let set = ChangeSet { seq, changes, is_incomplete: false };
        ring.push(Block::new(set, ring.seq()).unwrap());
    }

    #[test]
    fn clients_resume_or_learn_that_they_missed_changes() {
        let mut ring = Ring::new(5, 100);
        assert_eq!((ring.end(), ring.seq(), ring.after(100)), (5, 100, Place::At(5)));
        push(&mut ring, 103);
        push(&mut ring, 110);
        let places = [99, 100, 102, 103, 109, 110, 111].map(|seq| ring.after(seq));
        let (lost, at) = (Place::Lost, Place::At);
        assert_eq!(places, [lost(7), at(5), at(5), at(6), at(6), at(7), lost(7)]);
        assert_eq!(ring.get(6).unwrap().unwrap().seq, 110);
        assert!(ring.get(7).unwrap().is_none());
        for seq in 0..BLOCKS_MAX as u64 {
            push(&mut ring, 200 + seq);
        }
        assert_eq!(ring.after(103), Place::Lost(ring.end()));
        assert_eq!(ring.after(110), Place::At(7));
        assert_eq!(ring.get(6).unwrap_err(), Place::Lost(ring.end()));
    }
}
