//! The durable engine, composed of its parts.

use std::sync::Arc;
#[cfg(feature = "tokio")]
use std::task::{Poll, Waker};

use parking_lot::Mutex;

use super::checkpoint::Checkpointer;
use super::commit::CommitPath;
use super::open::{Recovered, recover};
use super::open_index::OpenIndex;
use super::options::{Options, SEGMENT_BYTES_MIN, Verify};
use super::read::Reader;
use super::report::OpenReport;
use super::shared::Shared;
use super::storage::{IndexBackend, StoreFiles};
use super::threads::Threads;
use super::verification::Verification;
use super::wal;
use crate::archive::Target;
use crate::engine::{Backup, Batch, Durability, Engine, Feed, Outcome, Stats, Visitor};
use crate::error::{Failure, Result};
use crate::folder::{Folder, SyncedNote};
use crate::index;
use crate::record::{Key, KeyRange, Record};

/// Fields may use only those above them.
#[derive(Debug)]
pub(crate) struct DurableEngine {
    pub(super) shared: Arc<Shared>,
    pub(super) index: Arc<OpenIndex>,
    reader: Reader,
    pub(super) commits: Arc<CommitPath>,
    pub(super) checkpointer: Arc<Checkpointer>,
    report: OpenReport,
    /// `None` before they are spawned, and after the store was closed.
    threads: Mutex<Option<Threads>>,
}

impl DurableEngine {
    /// Opens the store in `folder`, or creates it in a new one.
    pub(crate) fn open(folder: Folder, index: &index::Options, options: &Options) -> Result<Self> {
        let place = folder.layout().root().display().to_string();
        let files = StoreFiles::new(folder, index, options.segment_bytes)?;
        let engine = Self::without_threads(files, options.clone(), place)?;
        let Self { shared, index, commits, checkpointer, .. } = &engine;
        let threads = Threads::spawn(shared.clone(), index.clone(), commits.clone(), checkpointer.clone())?;
        *engine.threads.lock() = Some(threads);
        Ok(engine)
    }

    /// Rebuilds the index of the store in `folder`, and deletes unneeded log, where that saves
    /// space.
    pub(crate) fn compact(folder: Folder, index: &index::Options, options: &Options) -> Result<()> {
        let place = folder.layout().root().display().to_string();
        // The rest of the log fits into the shortest segment.
        let options =
            Options { segment_bytes: SEGMENT_BYTES_MIN, verify: Verify::BeforeOpening, ..options.clone() };
        let files = StoreFiles::keeping_index(folder, index, options.segment_bytes)?;
        Self::without_threads(files, options, place)?.compact_and_close()
    }

    /// Opens the store with these files.
    ///
    /// `place` is its name in messages.
    pub(super) fn without_threads(files: StoreFiles, options: Options, place: String) -> Result<Self> {
        let (recovered, verification) = recover_and_verify(&files, &options)?;
        let Recovered { index, log, pool, unapplied, applied, leftover, snapshot, synced, report } =
            recovered;
        let shared = Arc::new(Shared::new(files, options, verification, place, log.last(), unapplied));
        let commits = Arc::new(CommitPath::new(shared.clone(), log, pool, synced));
        let checkpointer = Checkpointer::new(shared.clone(), commits.clone(), applied, leftover, snapshot);
        Ok(Self {
            index: Arc::new(OpenIndex::new(shared.clone(), index)),
            reader: Reader::new(shared.clone()),
            shared,
            commits,
            checkpointer: Arc::new(checkpointer),
            report,
            threads: Mutex::new(None),
        })
    }

    pub(super) fn compact_and_close(&self) -> Result<()> {
        let index = self.index.take().ok_or(Failure::Closed)?;
        self.checkpointer.compact(index, self.report.replayed == 0)
    }

    /// Returns what opening found and did.
    pub(crate) fn report(&self) -> &OpenReport {
        &self.report
    }

    /// Closes a store that was not verified to the end, and to which nothing was written.
    fn close_unverified(&self, index: Box<dyn IndexBackend>) -> Result<()> {
        let closed = index.close();
        self.commits.wake_tasks();
        let removed = self.shared.files.verifying.remove();
        self.shared.files.index_dir.release();
        closed.and(removed)
    }

    fn collect_stats(&self, index: &dyn IndexBackend) -> Result<Stats> {
        let mut stats = Stats { engine: "durable", ..Stats::default() };
        self.checkpointer.while_still(|| self.reader.add_statistics(index, &mut stats))?;
        self.checkpointer.add_statistics(&mut stats);
        let log_bytes = self.commits.add_statistics(&mut stats);
        stats.index_bytes = index.disk_bytes()?;
        stats.disk_bytes = log_bytes + stats.snapshot_bytes + stats.index_bytes + SyncedNote::BYTES;
        Ok(stats)
    }
}

/// Opens the store, and verifies it now or later.
fn recover_and_verify(files: &StoreFiles, options: &Options) -> Result<(Recovered, Verification)> {
    let is_deferred = options.verify == Verify::InBackground && !files.verifying.exists()?;
    if is_deferred {
        files.verifying.create()?;
        match recover(files, options, Verify::InBackground) {
            Ok(recovered) => return Ok((recovered, Verification::new(true))),
            Err(error) => tracing::warn!(%error, "the store is verified before it opens"),
        }
    }
    let is_wanted = options.verify != Verify::Never;
    let recovered = recover(files, options, if is_wanted { Verify::BeforeOpening } else { Verify::Never })?;
    if options.verify == Verify::InBackground {
        files.verifying.remove()?;
    }
    Ok((recovered, Verification::new(false)))
}

impl Engine for DurableEngine {
    fn get(&self, key: &Key) -> Result<Option<Record>> {
        self.index.with(|index| self.reader.get(index, key))
    }

    fn as_of(&self) -> u64 {
        self.shared.last_seq()
    }

    fn get_since(&self, record: Record, as_of: u64) -> Result<Option<Record>> {
        self.index.with(|index| self.reader.get_since(index, record, as_of))
    }

    fn scan(&self, range: &KeyRange, visit: &mut Visitor<'_>) -> Result<()> {
        self.index.with(|index| self.reader.scan(index, range, visit))
    }

    fn commit(&self, batch: Batch, durability: Durability) -> Result<Outcome> {
        batch.check()?;
        self.index.with(|index| self.commits.commit(index, batch, durability))
    }

    fn sync(&self) -> Result<()> {
        self.index.with(|_| self.commits.sync())
    }

    #[cfg(feature = "tokio")]
    fn poll_synced(&self, seq: u64, waker: &Waker) -> Poll<Result<()>> {
        if self.commits.poll_synced(seq, waker).is_ready() {
            return Poll::Ready(Ok(()));
        }
        // Registered first, so that a later failure or close wakes the task.
        self.index.with(|_| Ok(()))?;
        self.shared.sync_thread.work();
        Poll::Pending
    }

    #[cfg(feature = "tokio")]
    fn is_ready(&self) -> Result<bool> {
        self.commits.is_ready()
    }

    fn last_seq(&self) -> u64 {
        self.shared.last_seq()
    }

    fn feed(&self) -> &Feed {
        self.commits.feed()
    }

    fn backup(&self, target: &Target) -> Result<Backup> {
        self.index.with(|index| self.checkpointer.backup(index, target))
    }

    fn browse_log(&self, after: u64, visit: &mut wal::Visitor<'_>) -> Result<()> {
        self.index.with(|_| self.checkpointer.browse_log(after, visit))
    }

    fn wait_until_verified(&self) -> Result<()> {
        self.shared.verification.wait();
        // It fails if it found damage, or the store was closed.
        self.index.with(|_| Ok(()))
    }

    fn stats(&self) -> Result<Stats> {
        self.index.with(|index| self.collect_stats(index))
    }

    fn close(&self) -> Result<()> {
        if let Some(threads) = self.threads.lock().take() {
            threads.stop();
        }
        let index = self.index.take();
        self.feed().close();
        let Some(index) = index else { return Ok(()) };
        if self.shared.verification.end() {
            return self.close_unverified(index);
        }
        let finished = self.shared.poison.check().and_then(|()| self.checkpointer.finish(&*index));
        let closed = index.close();
        let done = finished
            .and_then(|applied| closed.and_then(|()| self.checkpointer.note(self.shared.position(applied))));
        self.shared.files.index_dir.release();
        self.commits.wake_tasks();
        done
    }
}

impl Drop for DurableEngine {
    fn drop(&mut self) {
        // Without threads it was closed, or a test simulates the program's death.
        if self.threads.get_mut().is_some() {
            // Callers that need the result call `close`.
            let _ = self.close();
        }
    }
}
