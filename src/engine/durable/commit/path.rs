//! The commit path and its parts.

use std::sync::Arc;

use super::back_pressure::BackPressure;
use super::group_commit::GroupCommit;
use super::queue::WriteQueue;
use super::synced_note::SyncedTracker;
use super::writer::Writer;
use crate::engine::Feed;
use crate::engine::durable::memtable::Generation;
use crate::engine::durable::shared::Shared;
use crate::engine::durable::wal::{Log, Pool};
#[cfg(test)]
use crate::engine::{Batch, Outcome};
use crate::error::{Error, Failure, Result};
use crate::folder::SyncedNote;
use crate::sync::{Mutex, MutexGuard};

#[derive(Debug)]
pub(crate) struct CommitPath {
    pub(super) shared: Arc<Shared>,
    /// Orders the commits. No sync runs under this lock, unless the log needs a segment that was
    /// not prepared.
    pub(super) writer: Mutex<Writer>,
    /// Commits that wait for the writer lock.
    pub(super) queue: WriteQueue,
    pub(super) pool: Arc<Pool>,
    /// Shares syncs among commits.
    pub(super) group_commit: GroupCommit,
    pub(super) synced_note: SyncedTracker,
    pub(super) back_pressure: BackPressure,
    feed: Feed,
}

impl CommitPath {
    /// Creates the commit path for a fully durable `log`.
    pub(crate) fn new(shared: Arc<Shared>, log: Log, pool: Arc<Pool>, synced_note: SyncedNote) -> Self {
        let back_pressure = BackPressure::default();
        back_pressure.set_verifying(shared.verification.is_pending());
        Self {
            group_commit: GroupCommit::starting_at(shared.last_seq()),
            shared,
            writer: Mutex::new(Writer::new(log)),
            queue: WriteQueue::default(),
            pool,
            synced_note: SyncedTracker::new(synced_note),
            back_pressure,
            feed: Feed::default(),
        }
    }

    /// Returns the feed that announces every commit in order.
    pub(crate) fn feed(&self) -> &Feed {
        &self.feed
    }

    /// Locks the writer.
    ///
    /// After a failed write the log holds data that must not become visible.
    pub(super) fn lock_writer(&self) -> Result<MutexGuard<'_, Writer>> {
        let writer = self.writer.lock();
        self.shared.poison.check().map(|()| writer)
    }

    /// Returns the commit up to which the log is durable.
    pub(crate) fn durable_seq(&self) -> u64 {
        self.group_commit.done()
    }

    /// Reports whether commits wait.
    pub(crate) fn has_back_pressure(&self) -> bool {
        self.back_pressure.is_high()
    }

    /// Wakes the checkpointer if it has work, and makes commits wait or continue.
    pub(super) fn judge_backlog(&self, writer: &Writer, active: &Generation) {
        let backlog = writer.backlog(active);
        if self.back_pressure.needs_checkpoint(&backlog, &self.shared.options) {
            self.shared.checkpoint_thread.work();
        }
        self.back_pressure.update(&backlog, &self.shared.options);
    }

    /// The error of a commit with an unknown outcome.
    pub(super) fn unknown_outcome(&self) -> Error {
        let lost = || Failure::Storage {
            place: self.shared.files.log.dir.display().to_string(),
            action: "commit",
            why: "the thread that made it panicked".to_owned(),
        };
        self.shared.poison.check().err().unwrap_or_else(|| lost().into())
    }
}

/// Internals for tests.
#[cfg(test)]
impl CommitPath {
    /// Queues a batch like a thread that finds the writer locked.
    ///
    /// The returned function takes the outcome.
    pub(crate) fn enqueue(&self, batch: Batch) -> impl Fn() -> Option<Result<Outcome>> + use<> {
        let pending = self.queue.join(batch);
        move || pending.take_outcome()
    }

    pub(crate) fn has_queued(&self) -> bool {
        !self.queue.take().is_empty()
    }

    pub(crate) fn is_disk_full(&self) -> bool {
        self.back_pressure.is_disk_full()
    }
}
