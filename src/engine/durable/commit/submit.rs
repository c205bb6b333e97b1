//! Committing: who gets the writer's lock makes the commits of all who wait for it.

use std::io::ErrorKind;
#[cfg(feature = "tokio")]
use std::task::{Poll, Waker};

use super::queue::PendingCommit;
use super::write_group::WriteGroup;
use crate::engine::durable::shared::{Shared, Writer};
use crate::engine::durable::storage::IndexBackend;
use crate::engine::{Batch, Durability, Outcome};
use crate::error::{Error, Failure, Result};
use crate::sync::{self, Ordering};

/// How often who waits looks for an answer before it sleeps. A commit takes a few
/// microseconds, and so does this; to fall asleep and be woken takes more.
const LOOKS: usize = 100;

impl Shared {
    pub(crate) fn commit(&self, batch: Batch, durability: Durability) -> Result<Outcome> {
        batch.check()?;
        let is_to_sync = durability == Durability::Synced && !batch.writes.is_empty();
        self.with_index(|index| {
            self.pressure.wait(|| self.check_going())?;
            let outcome = self.commit_unsynced(index, batch)?;
            match outcome {
                Outcome::Committed(seq) if is_to_sync => self.sync_to(seq)?,
                _ => {}
            }
            Ok(outcome)
        })
    }

    /// Whether a commit would not have to wait.
    #[cfg(feature = "tokio")]
    pub(crate) fn is_ready(&self) -> Result<bool> {
        let is_high = self.pressure.is_high();
        if is_high {
            self.check_going()?;
        }
        Ok(!is_high)
    }

    /// Ready once everything up to `seq` is durable. The thread that syncs leads for those
    /// who wait without a thread.
    #[cfg(feature = "tokio")]
    pub(crate) fn poll_synced(&self, seq: u64, waker: &Waker) -> Poll<Result<()>> {
        let poll = self.synced.poll(seq, waker);
        if poll.is_ready() {
            return Poll::Ready(Ok(()));
        }
        // Registered first: who poisons or closes the store after this look wakes it.
        self.with_index(|_| self.poison.check())?;
        self.upkeep.work();
        Poll::Pending
    }

    /// Wakes the thread that eases the pressure, and fails if it will not.
    fn check_going(&self) -> Result<()> {
        if self.checkpoints.is_stopped() {
            return Err(Failure::Closed.into());
        }
        if self.is_disk_full.load(Ordering::Acquire) {
            let (path, source) = (self.files.log.dir.clone(), ErrorKind::StorageFull.into());
            return Err(Failure::DiskFull { path, source }.into());
        }
        self.checkpoints.work();
        self.poison.check()
    }

    fn commit_unsynced(&self, index: &dyn IndexBackend, batch: Batch) -> Result<Outcome> {
        match self.writer.try_lock() {
            Some(mut writer) => WriteGroup::new(self, index, &mut writer).commit(batch),
            None => self.wait(index, &self.queue.join(batch)),
        }
    }

    /// Waits until somebody has made a commit, or makes it.
    fn wait(&self, index: &dyn IndexBackend, ticket: &PendingCommit) -> Result<Outcome> {
        for _ in 0..LOOKS {
            if let Some(answer) = ticket.take_answer() {
                return answer;
            }
            if !self.writer.is_locked()
                && let Some(mut writer) = self.writer.try_lock()
            {
                return self.answer(index, &mut writer, ticket);
            }
            sync::spin_loop();
        }
        self.answer(index, &mut self.writer.lock(), ticket)
    }

    /// The answer to a commit, which is made if nobody has.
    pub(crate) fn answer(
        &self,
        index: &dyn IndexBackend,
        writer: &mut Writer,
        ticket: &PendingCommit,
    ) -> Result<Outcome> {
        if !ticket.is_answered() {
            WriteGroup::new(self, index, writer).commit_waiting();
        }
        // Without one, who had taken it panicked.
        ticket.take_answer().unwrap_or_else(|| Err(self.unknown()))
    }

    /// What to say of a commit of which nobody knows what became.
    pub(crate) fn unknown(&self) -> Error {
        let lost = || Failure::Storage {
            place: self.files.log.dir.display().to_string(),
            action: "commit",
            why: "the program panicked on the way".to_owned(),
        };
        self.poison.check().err().unwrap_or_else(|| lost().into())
    }
}
