//! The interface of all engines.

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
    /// The program's death: a panic, `kill -9`. Power loss may take the most recent writes.
    Buffered,
    /// Power loss too.
    Synced,
}

/// The result of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything was written, under this sequence number.
    Committed(u64),
    /// The precondition with this index does not hold; nothing was written.
    Failed(usize),
}

/// A backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backup {
    /// The newest commit in the backup, which includes all commits up to it.
    pub seq: u64,
    /// The number of records.
    pub records: u64,
    /// The length of the file in bytes.
    pub bytes: u64,
}

impl From<Summary> for Backup {
    fn from(Summary { seq, records, bytes, .. }: Summary) -> Self {
        Self { seq, records, bytes }
    }
}

/// A callback for each record of a scan, in key order.
pub(crate) type Visitor<'a> = dyn FnMut(RecordRef<'_>) -> ControlFlow<()> + 'a;

/// A record store.
///
/// Sequence numbers start at 1 and increase by one with every commit that writes. An error of a
/// write or sync is final: it poisons the engine, and every later call but [`close`](Engine::close)
/// fails.
pub(crate) trait Engine: Send + Sync + 'static {
    /// Returns the newest committed record under `key`.
    fn get(&self, key: &Key) -> Result<Option<Record>>;

    /// Returns a commit that every later read includes, cheaply; 0 if the engine does not use it.
    ///
    /// What is read afterwards is known as of this commit, in
    /// [`get_since`](Engine::get_since) and [`expect_since`](Batch::expect_since).
    fn as_of(&self) -> u64 {
        0
    }

    /// Returns the newest version of a record that was read as of the commit `as_of`, without
    /// reading it again if no later commit can have changed it.
    fn get_since(&self, record: Record, as_of: u64) -> Result<Option<Record>> {
        let _ = as_of;
        self.get(&record.key)
    }

    /// Visits the records in `range` at one point in time, until `visit` breaks.
    ///
    /// `visit` must not call the engine.
    fn scan(&self, range: &KeyRange, visit: &mut Visitor<'_>) -> Result<()>;

    /// Visits at most the first `max` records; see [`scan`](Engine::scan).
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

    /// Counts the records in `range` at one point in time.
    fn count(&self, range: &KeyRange) -> Result<u64> {
        let mut count = 0;
        self.scan(range, &mut |_| {
            count += 1;
            ControlFlow::Continue(())
        })?;
        Ok(count)
    }

    /// Commits all of `batch` if every precondition holds, and nothing otherwise.
    ///
    /// Once it returns, the commit survives what `durability` promises.
    /// A batch without writes only checks its preconditions, and returns the newest sequence
    /// number.
    fn commit(&self, batch: Batch, durability: Durability) -> Result<Outcome>;

    /// Reports whether calls wait for other machines.
    fn is_networked(&self) -> bool {
        false
    }

    /// Makes a call that may wait for this engine: at once, or on a thread of the engine if it
    /// waits for a network.
    ///
    /// # Errors
    ///
    /// If the store was closed.
    #[cfg(feature = "tokio")]
    fn make(&self, call: Box<dyn FnOnce() + Send>) -> Result<()> {
        call();
        Ok(())
    }

    /// Returns the maximum number of preconditions in a commit.
    fn preconditions_max(&self) -> usize {
        usize::MAX
    }

    /// Returns how long a run's progress may wait to be superseded by the next, if commits have the
    /// latency of a network.
    fn coalesces(&self) -> Option<Duration> {
        None
    }

    /// Makes every commit so far survive power loss.
    fn sync(&self) -> Result<()>;

    /// Polls until every commit up to `seq` survives power loss.
    ///
    /// `waker` is woken then; no thread waits.
    #[cfg(feature = "tokio")]
    fn poll_synced(&self, seq: u64, waker: &Waker) -> Poll<Result<()>> {
        let _ = (seq, waker);
        Poll::Ready(self.sync())
    }

    /// Reports whether a commit would start without waiting for back-pressure.
    ///
    /// # Errors
    ///
    /// If a commit would fail instead.
    #[cfg(feature = "tokio")]
    fn is_ready(&self) -> Result<bool> {
        Ok(true)
    }

    /// Returns the newest sequence number; 0 for a store that was never written to.
    fn last_seq(&self) -> u64;

    /// Returns the newest sequence number, asking the program that has the store open, if that is
    /// another one.
    fn newest_seq(&self) -> Result<u64> {
        Ok(self.last_seq())
    }

    /// Returns the feed that announces every commit in order.
    fn feed(&self) -> &Feed;

    /// Writes all records, as of one moment after the call began, to a new archive.
    ///
    /// Commits continue meanwhile.
    fn backup(&self, target: &Target) -> Result<Backup>;

    /// Visits the commits after `after` that are in the log, up to the newest one; all of them for
    /// 0.
    ///
    /// Commits continue meanwhile.
    ///
    /// # Errors
    ///
    /// If there is no log; if `visit` fails.
    fn browse_log(&self, after: u64, visit: &mut wal::Visitor<'_>) -> Result<()> {
        let _ = (after, visit);
        Err(Error::argument("a store in memory has no log"))
    }

    /// Waits until the verification in the background has ended; fails if it found damage.
    fn wait_until_verified(&self) -> Result<()> {
        Ok(())
    }

    /// Returns all statistics except the number of processes.
    fn stats(&self) -> Result<Stats>;

    /// Syncs and closes every file.
    ///
    /// Later calls fail.
    fn close(&self) -> Result<()>;
}
