//! Replays the log into a memtable, and from there into the index if there are too many commits.

use crate::engine::durable::checkpoint::Checkpoint;
use crate::engine::durable::memtable::Generation;
use crate::engine::durable::storage::IndexBackend;
use crate::engine::durable::wal::{Entry, LogEnd, LoggedRef, SegmentDirectory, read_behind};
use crate::error::{Error, Failure, Result};
use crate::record::{Key, Position};

/// The result of a replay.
pub(super) struct Replayed {
    /// The commits that the index lacks.
    pub(super) unapplied: Generation,
    /// The last commit in the index.
    pub(super) applied: Position,
}

/// Replays the commits after `applied` up to the `end` of the log.
///
/// Writes a checkpoint whenever the memtable reaches `checkpoint_bytes`.
pub(super) fn replay(
    log: &SegmentDirectory,
    end: &LogEnd,
    index: &dyn IndexBackend,
    applied: Position,
    checkpoint_bytes: usize,
) -> Result<Replayed> {
    let replayed = Replayed { unapplied: Generation::default(), applied };
    let mut replay = Replay { index, end, checkpoint_bytes, replayed, last: applied.seq };
    read_behind(log, applied.seq, &mut |seq, entry| replay.commit(seq, entry))?;
    if replay.last < end.last_seq {
        return Err(damaged(replay.last + 1, "it was there before, and cannot be read any more"));
    }
    Ok(replay.replayed)
}

struct Replay<'a> {
    index: &'a dyn IndexBackend,
    end: &'a LogEnd,
    checkpoint_bytes: usize,
    replayed: Replayed,
    /// The last commit that was replayed.
    last: u64,
}

impl Replay<'_> {
    fn commit(&mut self, seq: u64, entry: &[u8]) -> Result<()> {
        let Some(entry) = Entry::decode(entry) else {
            return Err(damaged(seq, "its checksum matches, but it does not decode"));
        };
        self.last = seq;
        for LoggedRef { key, payload, replaces } in entry.borrowed_writes() {
            if let Some(replaces) = replaces {
                self.check_succession(seq, &key.to_key(), replaces)?;
            }
            self.replayed.unapplied.put_copy(key, seq, payload, replaces);
        }
        if self.replayed.unapplied.bytes() < self.checkpoint_bytes {
            return Ok(());
        }
        let (generation, from, to) =
            (&self.replayed.unapplied, self.replayed.applied.seq, self.end.position(seq));
        Checkpoint { generation, from, to, leftover: self.end.last_seq, is_alone: &|| true }
            .apply(self.index)?;
        self.replayed = Replayed { unapplied: Generation::default(), applied: to };
        Ok(())
    }

    /// Checks that an owner record replaces its predecessor.
    fn check_succession(&self, seq: u64, key: &Key, replaces: u64) -> Result<()> {
        let Some(before) = self.replayed.unapplied.get(key) else { return Ok(()) };
        if before.seq == seq || before.version().unwrap_or(0) == replaces {
            return Ok(());
        }
        Err(damaged(seq, "it replaces an owner that did not exist"))
    }
}

fn damaged(seq: u64, why: &str) -> Error {
    Failure::Corrupt { place: format!("commit {seq} in the log"), why: why.to_owned() }.into()
}
