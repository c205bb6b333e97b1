//! Committing. The thread that gets the writer lock leads a write group: it checks every queued
//! batch and its own, writes all of them to the log in one write, and puts them into the
//! memtable. The other threads wait for their outcome.

use std::io::ErrorKind;
use std::sync::Arc;
#[cfg(feature = "tokio")]
use std::task::{Poll, Waker};

use super::path::CommitPath;
use super::preconditions::NewestVersions;
use super::queue::PendingCommit;
use super::writer::{ReplacedOwners, StagedCommit, Writer};
use crate::engine::durable::storage::IndexBackend;
use crate::engine::durable::wal::key_and_payload;
use crate::engine::{Batch, Durability, Outcome};
use crate::error::{Failure, Result};
use crate::record::Kind;
use crate::sync;

/// How often a waiting thread looks for its outcome before it sleeps. A commit takes a few
/// microseconds, and so do these looks; to fall asleep and be woken takes longer.
const SPINS: usize = 100;

/// So many keys are compared to tell whether a commit depends on those before it in the same
/// group. Large ones gain nothing by sharing a write.
const COMPARISONS_MAX: usize = 1024;

impl CommitPath {
    pub(crate) fn commit(
        &self,
        index: &dyn IndexBackend,
        batch: Batch,
        durability: Durability,
    ) -> Result<Outcome> {
        let is_to_sync = durability == Durability::Synced && !batch.writes.is_empty();
        self.back_pressure.wait(|| self.check_progress())?;
        let outcome = self.commit_unsynced(index, batch)?;
        match outcome {
            Outcome::Committed(seq) if is_to_sync => self.sync_to(seq)?,
            _ => {}
        }
        Ok(outcome)
    }

    /// Makes durable everything up to the commit `seq`.
    pub(crate) fn sync_to(&self, seq: u64) -> Result<()> {
        self.group_commit.reach(seq, || {
            let (files, upto) = {
                let mut writer = self.lock_writer()?;
                (writer.log.take_unsynced(), self.shared.last_seq())
            };
            self.shared.poison.on_error(files.iter().try_for_each(|file| file.sync()))?;
            Ok(upto)
        })
    }

    pub(crate) fn sync(&self) -> Result<()> {
        self.sync_to(self.shared.last_seq())
    }

    /// Whether a commit would not have to wait.
    #[cfg(feature = "tokio")]
    pub(crate) fn is_ready(&self) -> Result<bool> {
        let is_high = self.back_pressure.is_high();
        if is_high {
            self.check_progress()?;
        }
        Ok(!is_high)
    }

    /// Ready once everything up to `seq` is durable; `waker` is woken then.
    #[cfg(feature = "tokio")]
    pub(crate) fn poll_synced(&self, seq: u64, waker: &Waker) -> Poll<()> {
        self.group_commit.poll(seq, waker)
    }

    /// Wakes the checkpointer, which eases the pressure; fails if it cannot.
    fn check_progress(&self) -> Result<()> {
        if self.shared.checkpoint_thread.is_stopped() {
            return Err(Failure::Closed.into());
        }
        if self.back_pressure.is_disk_full() {
            let (path, source) = (self.shared.files.log.dir.clone(), ErrorKind::StorageFull.into());
            return Err(Failure::DiskFull { path, source }.into());
        }
        self.shared.checkpoint_thread.work();
        self.shared.poison.check()
    }

    fn commit_unsynced(&self, index: &dyn IndexBackend, batch: Batch) -> Result<Outcome> {
        match self.writer.try_lock() {
            Some(mut writer) => WriteGroup::new(self, index, &mut writer).commit(batch),
            None => self.wait(index, &self.queue.join(batch)),
        }
    }

    /// Waits until another thread has made a commit, or makes it.
    fn wait(&self, index: &dyn IndexBackend, pending: &PendingCommit) -> Result<Outcome> {
        for _ in 0..SPINS {
            if let Some(outcome) = pending.take_outcome() {
                return outcome;
            }
            if !self.writer.is_locked()
                && let Some(mut writer) = self.writer.try_lock()
            {
                return self.complete(index, &mut writer, pending);
            }
            sync::spin_loop();
        }
        self.complete(index, &mut self.writer.lock(), pending)
    }

    /// The outcome of a commit, which is made now unless another thread has made it.
    pub(super) fn complete(
        &self,
        index: &dyn IndexBackend,
        writer: &mut Writer,
        pending: &PendingCommit,
    ) -> Result<Outcome> {
        if !pending.is_complete() {
            WriteGroup::new(self, index, writer).commit_queued();
        }
        // Without an outcome, the thread that had taken the batch panicked.
        pending.take_outcome().unwrap_or_else(|| Err(self.unknown_outcome()))
    }
}

/// The commits that share one write.
pub(super) struct WriteGroup<'a> {
    path: &'a CommitPath,
    index: &'a dyn IndexBackend,
    writer: &'a mut Writer,
    /// Readers see some of what is staged, and not all of it is announced.
    is_publishing: bool,
}

impl<'a> WriteGroup<'a> {
    pub(super) fn new(path: &'a CommitPath, index: &'a dyn IndexBackend, writer: &'a mut Writer) -> Self {
        Self { path, index, writer, is_publishing: false }
    }

    /// Commits every queued batch, and then the thread's own.
    pub(super) fn commit(mut self, batch: Batch) -> Result<Outcome> {
        self.stage_queued();
        let staged = self.stage(batch, None);
        let flushed = self.flush();
        let outcome = staged?;
        flushed?;
        Ok(outcome.unwrap_or_else(|| Outcome::Committed(self.writer.log.last_seq())))
    }

    /// Commits every queued batch.
    pub(super) fn commit_queued(mut self) {
        self.stage_queued();
        // The waiting threads get the error too.
        let _ = self.flush();
    }

    fn stage_queued(&mut self) {
        for pending in self.path.queue.take() {
            let Some(batch) = pending.take_batch() else { continue };
            match self.stage(batch, Some(&pending)) {
                Ok(None) => {}
                Ok(Some(outcome)) => pending.complete(Ok(outcome)),
                Err(error) => pending.complete(Err(error)),
            }
        }
    }

    /// Checks a batch and appends it to the log's buffer. Answers its outcome if there is
    /// nothing to write.
    fn stage(&mut self, batch: Batch, pending: Option<&Arc<PendingCommit>>) -> Result<Option<Outcome>> {
        let shared = &*self.path.shared;
        shared.poison.check()?;
        if self.may_depend_on_staged(&batch) {
            self.flush()?;
        }
        let replaced = {
            let (poison, memtable) = (&shared.poison, &shared.memtable.read());
            let (index, cache) = (self.index, &mut self.writer.versions);
            let mut newest = NewestVersions { poison, memtable, index, cache };
            if let Some(failed) = newest.first_failed(&batch)? {
                return Ok(Some(Outcome::Failed(failed)));
            }
            newest.replaced(&batch)?
        };
        if batch.writes.is_empty() {
            return Ok(Some(Outcome::Committed(shared.last_seq())));
        }
        self.append_to_log(&batch, &replaced)?;
        let seq = self.writer.log.last_seq();
        self.writer.staged.push(StagedCommit { seq, batch, replaced, pending: pending.cloned() });
        Ok(None)
    }

    /// Whether the outcome of a batch may depend on one that is not in the memtable yet.
    fn may_depend_on_staged(&self, batch: &Batch) -> bool {
        let writes = || self.writer.staged.iter().flat_map(|staged| &staged.batch.writes);
        let asks = batch.preconditions.len() + batch.writes.len();
        writes().count() * asks > COMPARISONS_MAX
            || writes().any(|write| {
                let (key, _) = key_and_payload(write);
                batch.preconditions.iter().any(|precondition| precondition.key == *key)
                    || (key.kind() == Kind::Owner
                        && batch.writes.iter().any(|write| key_and_payload(write).0 == key))
            })
    }

    fn append_to_log(&mut self, batch: &Batch, replaced: &ReplacedOwners) -> Result<()> {
        let Self { path, writer, .. } = self;
        let shared = &*path.shared;
        if let Err(error) = writer.log.reserve(batch) {
            // Nothing was written: a disk that is full is no reason to stop.
            return if error.is_disk_full() { Err(error) } else { shared.poison.on_error(Err(error)) };
        }
        let segments = writer.log.segments();
        let synced = path.durable_seq();
        let time = shared.options.clock.now();
        let appended = writer.log.append(batch, time, |n| replaced.by(n).unwrap_or(0), synced);
        if writer.log.segments() != segments {
            shared.sync_thread.work();
        }
        shared.poison.on_error(appended)
    }

    /// Writes what is staged, shows it to readers, and completes the commits that wait for it.
    fn flush(&mut self) -> Result<()> {
        self.write().inspect_err(|_| self.fail_staged())?;
        let Some(last) = self.writer.staged.last() else { return Ok(()) };
        let seq = last.seq;
        self.is_publishing = true;
        self.put();
        self.path.shared.show_up_to(seq);
        for staged in self.writer.staged.drain(..) {
            self.path.feed().publish(staged.seq, &staged.batch);
            if let Some(pending) = staged.pending {
                pending.complete(Ok(Outcome::Committed(staged.seq)));
            }
        }
        self.is_publishing = false;
        Ok(())
    }

    fn write(&mut self) -> Result<()> {
        let poison = &self.path.shared.poison;
        poison.check()?;
        poison.on_error(self.writer.log.flush())?;
        if self.writer.log.asks_for_segment() {
            self.path.shared.sync_thread.work();
        }
        Ok(())
    }

    /// Nobody knows how much of what is staged the log holds.
    fn fail_staged(&mut self) {
        for staged in self.writer.staged.drain(..) {
            if let Some(pending) = staged.pending {
                pending.complete(Err(self.path.unknown_outcome()));
            }
        }
    }

    /// Puts what is staged into the memtable.
    fn put(&mut self) {
        let Writer { staged, versions, .. } = &mut *self.writer;
        let mut memtable = self.path.shared.memtable.write();
        for StagedCommit { seq, batch, replaced, .. } in staged {
            for (n, write) in batch.writes.iter_mut().enumerate() {
                let (key, payload) = write.take();
                versions.forget(key);
                memtable.active.put(key, *seq, payload, replaced.by(n));
            }
        }
        self.path.judge_backlog(self.writer, &memtable.active);
    }
}

impl Drop for WriteGroup<'_> {
    fn drop(&mut self) {
        if self.is_publishing || !self.writer.staged.is_empty() || !self.writer.log.is_flushed() {
            // After an error, which has poisoned the store, or a panic.
            self.path.shared.poison.poison(&self.path.unknown_outcome());
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::disk::sim::{Fault, Plan, SimDisk};
    use crate::engine::durable::DurableEngine;
    use crate::engine::durable::options::Options;
    use crate::engine::durable::tests::sim::{self, SimIndexDirectory};
    use crate::engine::{Engine, Expect};
    use crate::model::List;
    use crate::record::Key;

    fn key(name: &str) -> Key {
        Key::item("p", List::Active, name)
    }

    fn put(name: &str) -> Batch {
        Batch::new().put(key(name), Bytes::from_static(b"payload"))
    }

    /// Claims the process unless somebody has.
    fn claim() -> Batch {
        Batch::new().expect(Key::owner("p"), Expect::Absent).put(Key::owner("p"), Bytes::new())
    }

    fn commit(store: &DurableEngine, own: Batch) -> Result<Outcome> {
        let path = &store.commits;
        store.index.with(|index| WriteGroup::new(path, index, &mut path.writer.lock()).commit(own))
    }

    fn store() -> (SimDisk, DurableEngine) {
        let disk = SimDisk::new();
        let store = sim::open(&disk, &SimIndexDirectory::new(&disk), &Options::default()).unwrap();
        disk.plan(None);
        (disk, store)
    }

    #[test]
    fn who_waits_shares_the_write_in_the_order_of_arrival() {
        let (disk, store) = store();
        let pending = ["a", "b", "c"].map(|name| store.commits.queue.join(put(name)));
        assert_eq!(commit(&store, put("d")).unwrap(), Outcome::Committed(4));
        for (pending, seq) in pending.iter().zip(1..) {
            assert_eq!(pending.take_outcome().unwrap().unwrap(), Outcome::Committed(seq));
        }
        assert_eq!(disk.operations(), 1, "one write");
        for (name, seq) in ["a", "b", "c", "d"].iter().zip(1..) {
            assert_eq!(store.get(&key(name)).unwrap().unwrap().version, seq);
        }
    }

    #[test]
    fn one_of_those_who_claim_at_once_gets_it() {
        let (_, store) = store();
        let pending = [(); 3].map(|()| store.commits.queue.join(claim()));
        assert_eq!(commit(&store, claim()).unwrap(), Outcome::Failed(0));
        let answers = pending.map(|pending| pending.take_outcome().unwrap().unwrap());
        assert_eq!(answers, [Outcome::Committed(1), Outcome::Failed(0), Outcome::Failed(0)]);
    }

    /// Opening refuses an owner whose predecessor is not the one that the log names.
    #[test]
    fn an_owner_replaces_the_one_that_came_with_it() {
        let (disk, store) = store();
        store.commits.queue.join(Batch::new().put(Key::owner("p"), Bytes::new()));
        commit(&store, Batch::new().put(Key::owner("p"), Bytes::new())).unwrap();
        drop(store);
        let store = sim::open(&disk, &SimIndexDirectory::new(&disk), &Options::default()).unwrap();
        assert_eq!(store.get(&Key::owner("p")).unwrap().unwrap().version, 2);
    }

    #[test]
    fn more_than_fit_into_a_group_are_all_committed() {
        let (_, store) = store();
        let pending: Vec<_> =
            (0..2 * COMPARISONS_MAX).map(|n| store.commits.queue.join(put(&format!("{n}")))).collect();
        commit(&store, put("own")).unwrap();
        for (pending, seq) in pending.iter().zip(1..) {
            assert_eq!(pending.take_outcome().unwrap().unwrap(), Outcome::Committed(seq));
        }
    }

    #[test]
    fn a_failed_write_fails_all_that_share_it() {
        let (disk, store) = store();
        let pending = ["a", "b"].map(|name| store.commits.queue.join(put(name)));
        disk.plan(Some(Plan { at: 1, what: Fault::Error }));
        commit(&store, put("c")).unwrap_err();
        for pending in pending {
            let error = pending.take_outcome().unwrap().unwrap_err();
            assert!(error.is_poisoned(), "{error}");
        }
        assert!(store.get(&key("a")).is_err(), "poisoned");
    }

    /// Found by review: who had looked whether the store was stopped, and then waited for
    /// the writer's lock, took commits that were never written for durable.
    #[test]
    fn nobody_who_waited_for_a_failed_write_goes_on() {
        let (disk, store) = store();
        disk.plan(Some(Plan { at: 1, what: Fault::Error }));
        commit(&store, put("a")).unwrap_err();
        disk.plan(None);
        assert!(store.commits.freeze().unwrap_err().is_poisoned());
        assert!(store.commits.lock_writer().unwrap_err().is_poisoned());
        assert!(store.commits.sync_to(1).unwrap_err().is_poisoned());
        assert_eq!((disk.operations(), store.commits.durable_seq()), (0, 0));
    }

    #[test]
    fn a_check_beside_others_answers_what_is_visible() {
        let (_, store) = store();
        let check = store.commits.queue.join(Batch::new().expect(key("a"), Expect::Absent));
        let late = store.commits.queue.join(put("b"));
        commit(&store, put("a")).unwrap();
        assert_eq!(check.take_outcome().unwrap().unwrap(), Outcome::Committed(0));
        assert_eq!(late.take_outcome().unwrap().unwrap(), Outcome::Committed(1));
    }

    /// As if the thread had panicked.
    #[test]
    fn a_group_that_ends_halfway_poisons_the_store() {
        let (_, store) = store();
        let pending = store.commits.queue.join(put("a"));
        let path = &store.commits;
        let half = |index: &dyn IndexBackend| {
            WriteGroup::new(path, index, &mut path.writer.lock()).stage_queued();
            Ok(())
        };
        store.index.with(half).unwrap();
        let outcome = store.index.with(|index| path.complete(index, &mut path.writer.lock(), &pending));
        assert!(outcome.unwrap_err().is_poisoned());
        assert!(commit(&store, put("b")).is_err());
    }
}
