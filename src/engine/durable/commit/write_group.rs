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

/// How often a waiting thread polls for its outcome before it sleeps. A commit takes a few
/// microseconds, about as long as these polls; sleeping and waking take longer.
const SPINS: usize = 100;

/// The limit of key comparisons to determine whether a commit depends on earlier ones in its group.
/// Large commits gain nothing from a shared write.
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
        let collect = || {
            let mut writer = self.lock_writer()?;
            Ok((self.shared.last_seq(), writer.log.take_unsynced()))
        };
        self.group_commit.reach(seq, collect, |files| {
            self.shared.poison.on_error(files.iter().try_for_each(|file| file.sync()))
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

    /// Polls until everything up to `seq` is durable.
    #[cfg(feature = "tokio")]
    pub(crate) fn poll_synced(&self, seq: u64, waker: &Waker) -> Poll<()> {
        self.group_commit.poll(seq, waker)
    }

    /// Wakes the checkpointer, which relieves the back-pressure; fails if it cannot.
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

    /// Returns the outcome of a commit, making it now unless another thread has.
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
    /// Whether readers may see a part of the staged commits before all of them are announced.
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
        // The waiting threads receive the error too.
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

    /// Checks a batch and appends it to the log's buffer; returns its outcome if there is nothing
    /// to write.
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

    /// Reports whether the outcome of a batch may depend on one that is not in the memtable yet.
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
            // Nothing was written, so a full disk does not poison the store.
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

    /// Writes the staged commits, makes them visible, and completes the commits that wait for them.
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

    /// Fails the staged commits: how much of them the log holds is unknown.
    fn fail_staged(&mut self) {
        for staged in self.writer.staged.drain(..) {
            if let Some(pending) = staged.pending {
                pending.complete(Err(self.path.unknown_outcome()));
            }
        }
    }

    /// Puts the staged commits into the memtable.
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

    /// A batch that claims a process without an owner.
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
    fn waiting_commits_share_a_write_in_order_of_arrival() {
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
    fn one_of_several_concurrent_claims_wins() {
        let (_, store) = store();
        let pending = [(); 3].map(|()| store.commits.queue.join(claim()));
        assert_eq!(commit(&store, claim()).unwrap(), Outcome::Failed(0));
        let answers = pending.map(|pending| pending.take_outcome().unwrap().unwrap());
        assert_eq!(answers, [Outcome::Committed(1), Outcome::Failed(0), Outcome::Failed(0)]);
    }

    /// Opening refuses an owner whose predecessor is not the one that the log names.
    #[test]
    fn an_owner_may_replace_one_of_its_group() {
        let (disk, store) = store();
        store.commits.queue.join(Batch::new().put(Key::owner("p"), Bytes::new()));
        commit(&store, Batch::new().put(Key::owner("p"), Bytes::new())).unwrap();
        drop(store);
        let store = sim::open(&disk, &SimIndexDirectory::new(&disk), &Options::default()).unwrap();
        assert_eq!(store.get(&Key::owner("p")).unwrap().unwrap().version, 2);
    }

    #[test]
    fn commits_beyond_a_group_are_all_made() {
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

    /// Found by review: a thread that checked the store before it waited for the writer lock took
    /// commits that were never written for durable.
    #[test]
    fn threads_waiting_for_a_failed_write_fail() {
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
    fn a_check_in_a_group_returns_the_visible_state() {
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
