//! What every engine offers.

use std::ops::ControlFlow;
#[cfg(feature = "tokio")]
use std::task::{Poll, Waker};
use std::time::Duration;

use super::batch::Batch;
use super::durable::wal;
use super::feed::Feed;
use super::stats::Stats;
use crate::archive::{Summary, Target};
use crate::error::{Error, Result};
use crate::record::{Key, KeyRange, Record, RecordRef};

/// What a commit survives once it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Durability {
    /// The program's death: a panic, `kill -9`. Power loss may take the last
    /// moments.
    Buffered,
    /// Power loss too.
    Synced,
}

/// How a commit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything was written, under this sequence number.
    Committed(u64),
    /// The precondition with this index does not hold; nothing was written.
    Failed(usize),
}

/// A backup that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backup {
    /// It has every commit up to the one with this sequence number, and nothing of
    /// those after.
    pub seq: u64,
    /// How many records it holds.
    pub records: u64,
    /// The length of the file in bytes.
    pub bytes: u64,
}

impl From<Summary> for Backup {
    fn from(Summary { seq, records, bytes, .. }: Summary) -> Self {
        Self { seq, records, bytes }
    }
}

/// Called with each record of a scan, in key order.
pub(crate) type Visitor<'a> = dyn FnMut(RecordRef<'_>) -> ControlFlow<()> + 'a;

/// A store of records.
///
/// Sequence numbers start at 1 and grow by one with every commit that writes.
/// An error from any write or sync is final: the engine is poisoned, and every
/// later call but [`close`](Engine::close) says so.
pub(crate) trait Engine: Send + Sync + 'static {
    /// The newest committed record under `key`.
    fn get(&self, key: &Key) -> Result<Option<Record>>;

    /// Visits the records in `range` as they were at one point in time, until
    /// `visit` breaks. `visit` must not call the engine.
    fn scan(&self, range: &KeyRange, visit: &mut Visitor<'_>) -> Result<()>;

    /// As [`scan`](Engine::scan), no more than the first `max` records.
    fn scan_first(&self, range: &KeyRange, max: usize, visit: &mut Visitor<'_>) -> Result<()> {
        let mut left = max;
        if left == 0 {
            return Ok(());
        }
        self.scan(range, &mut |record| {
            left -= 1;
            visit(record)?;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    }

    /// How many records there are in `range`, at one point in time.
    fn count(&self, range: &KeyRange) -> Result<u64> {
        let mut count = 0;
        self.scan(range, &mut |_| {
            count += 1;
            ControlFlow::Continue(())
        })?;
        Ok(count)
    }

    /// Writes all of `batch` if every precondition holds, and nothing otherwise.
    /// Once it returns, the commit survives what `durability` says.
    ///
    /// A batch without writes checks its preconditions and answers with the
    /// newest sequence number.
    fn commit(&self, batch: Batch, durability: Durability) -> Result<Outcome>;

    /// Whether a call waits for other machines, for as long as they take.
    fn is_networked(&self) -> bool {
        false
    }

    /// Makes a call that may wait for this engine where that disturbs nobody: at once, or on a
    /// thread of the engine's own if it waits for a network.
    ///
    /// # Errors
    ///
    /// If the store was closed.
    #[cfg(feature = "tokio")]
    fn make(&self, call: Box<dyn FnOnce() + Send>) -> Result<()> {
        call();
        Ok(())
    }

    /// How many preconditions a commit may have at most.
    fn preconditions_max(&self) -> usize {
        usize::MAX
    }

    /// How long progress of a run may wait for the next one to take its place, where a
    /// commit takes as long as a network does.
    fn coalesces(&self) -> Option<Duration> {
        None
    }

    /// Makes every commit so far survive power loss.
    fn sync(&self) -> Result<()>;

    /// Ready once every commit up to `seq` survives power loss; `waker` is woken then.
    /// Holds no thread meanwhile.
    #[cfg(feature = "tokio")]
    fn poll_synced(&self, seq: u64, waker: &Waker) -> Poll<Result<()>> {
        let _ = (seq, waker);
        Poll::Ready(self.sync())
    }

    /// Whether a commit would not have to wait for the disk to catch up.
    ///
    /// # Errors
    ///
    /// If a commit would fail instead.
    #[cfg(feature = "tokio")]
    fn is_ready(&self) -> Result<bool> {
        Ok(true)
    }

    /// The newest sequence number; 0 for a store that was never written to.
    fn last_seq(&self) -> u64;

    /// The same, asked of the program that has the store open if that is another one.
    fn newest_seq(&self) -> Result<u64> {
        Ok(self.last_seq())
    }

    /// Where every commit is announced, in order.
    fn feed(&self) -> &Feed;

    /// Writes every record, as they were at one point in time no earlier than this
    /// call, to a new archive. Commits go on meanwhile.
    fn backup(&self, target: &Target) -> Result<Backup>;

    /// Visits what the log still has after the commit `after`, up to the newest one; for 0
    /// all that it has. Commits go on meanwhile.
    ///
    /// # Errors
    ///
    /// If there is no log; if `visit` fails.
    fn browse_log(&self, after: u64, visit: &mut wal::Visitor<'_>) -> Result<()> {
        let _ = (after, visit);
        Err(Error::argument("a store in memory has no log"))
    }

    /// All statistics but the number of processes.
    fn stats(&self) -> Result<Stats>;

    /// Syncs and closes every file. Later calls fail.
    fn close(&self) -> Result<()>;
}
