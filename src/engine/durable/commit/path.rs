//! The commit path and what it owns.

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
    /// Orders the commits. Whoever holds it waits for no sync, unless the log needs a segment
    /// that was not prepared.
    pub(super) writer: Mutex<Writer>,
    /// Commits that wait for the writer lock.
    pub(super) queue: WriteQueue,
    pub(super) pool: Arc<Pool>,
    /// Shares one sync among the commits that wait for one.
    pub(super) group_commit: GroupCommit,
    pub(super) synced_note: SyncedTracker,
    pub(super) back_pressure: BackPressure,
    feed: Feed,
}

impl CommitPath {
    /// Appends to `log`, all of which is durable.
    pub(crate) fn new(shared: Arc<Shared>, log: Log, pool: Arc<Pool>, synced_note: SyncedNote) -> Self {
        Self {
            group_commit: GroupCommit::starting_at(shared.last_seq()),
            shared,
            writer: Mutex::new(Writer::new(log)),
            queue: WriteQueue::default(),
            pool,
            synced_note: SyncedTracker::new(synced_note),
            back_pressure: BackPressure::default(),
            feed: Feed::default(),
        }
    }

    /// Where every commit is announced, in order.
    pub(crate) fn feed(&self) -> &Feed {
        &self.feed
    }

    /// Waits for the writer lock. After a failed write the log holds what nobody may see.
    pub(super) fn lock_writer(&self) -> Result<MutexGuard<'_, Writer>> {
        let writer = self.writer.lock();
        self.shared.poison.check().map(|()| writer)
    }

    /// The commit up to which the log is durable.
    pub(crate) fn durable_seq(&self) -> u64 {
        self.group_commit.done()
    }

    /// Whether commits wait.
    pub(crate) fn has_back_pressure(&self) -> bool {
        self.back_pressure.is_high()
    }

    /// Wakes the checkpointer if there is something for it to do, and lets commits wait, or
    /// go on.
    pub(super) fn judge_backlog(&self, writer: &Writer, active: &Generation) {
        let backlog = writer.backlog(active);
        if self.back_pressure.needs_checkpoint(&backlog, &self.shared.options) {
            self.shared.checkpoint_thread.work();
        }
        self.back_pressure.update(&backlog, &self.shared.options);
    }

    /// The error of a commit whose outcome nobody knows.
    pub(super) fn unknown_outcome(&self) -> Error {
        let lost = || Failure::Storage {
            place: self.shared.files.log.dir.display().to_string(),
            action: "commit",
            why: "the program panicked on the way".to_owned(),
        };
        self.shared.poison.check().err().unwrap_or_else(|| lost().into())
    }
}

/// What tests look at from outside.
#[cfg(test)]
impl CommitPath {
    /// Queues a batch, as a thread does that finds the writer lock taken. Calling the answer
    /// takes the outcome.
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
