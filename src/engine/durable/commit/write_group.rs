//! A turn at the writer's lock: the commits of those who wait are checked one by one,
//! written to the log together, and put into the memtable.

use std::sync::Arc;

use super::preconditions::RecordVersions;
use super::queue::PendingCommit;
use crate::engine::durable::shared::{Shared, Writer};
use crate::engine::durable::storage::IndexBackend;
use crate::engine::durable::wal::key_and_payload;
use crate::engine::{Batch, Outcome};
use crate::error::Result;
use crate::record::Kind;
use crate::sync::Ordering;

/// So many keys are compared to tell whether a commit depends on those before it in the
/// same turn. Large ones gain nothing by sharing a write.
const COMPARISONS_MAX: usize = 1024;

pub(crate) struct WriteGroup<'a> {
    shared: &'a Shared,
    index: &'a dyn IndexBackend,
    writer: &'a mut Writer,
    /// Some of what is staged is visible, and not all of it announced.
    is_flushing: bool,
}

/// A commit that is on its way to the log.
#[derive(Debug)]
pub(crate) struct StagedCommit {
    seq: u64,
    batch: Batch,
    replaced: Replaced,
    /// Who waits for it, but for the one whose turn it is.
    ticket: Option<Arc<PendingCommit>>,
}

/// Of the writes of owner records, by number, which version they replace; 0 for none.
#[derive(Debug)]
struct Replaced(Vec<(usize, u64)>);

impl Replaced {
    fn by(&self, write: usize) -> Option<u64> {
        self.0.iter().find(|(at, _)| *at == write).map(|(_, version)| *version)
    }
}

impl<'a> WriteGroup<'a> {
    pub(crate) fn new(shared: &'a Shared, index: &'a dyn IndexBackend, writer: &'a mut Writer) -> Self {
        Self { shared, index, writer, is_flushing: false }
    }

    /// Commits a batch, and what waits with it.
    pub(crate) fn commit(mut self, batch: Batch) -> Result<Outcome> {
        self.stage_waiting();
        let staged = self.stage(batch, None);
        let flushed = self.flush();
        let outcome = staged?;
        flushed?;
        Ok(outcome.unwrap_or_else(|| Outcome::Committed(self.writer.log.last_seq())))
    }

    /// Commits what waits.
    pub(crate) fn commit_waiting(mut self) {
        self.stage_waiting();
        // Those who wait hear of it, too.
        let _ = self.flush();
    }

    fn stage_waiting(&mut self) {
        for ticket in self.shared.queue.take() {
            let Some(batch) = ticket.take_batch() else { continue };
            match self.stage(batch, Some(&ticket)) {
                Ok(None) => {}
                Ok(Some(outcome)) => ticket.answer(Ok(outcome)),
                Err(error) => ticket.answer(Err(error)),
            }
        }
    }

    /// Checks a batch and appends it to the log, which is yet to be flushed. Answers its
    /// outcome if it is not written.
    fn stage(&mut self, batch: Batch, ticket: Option<&Arc<PendingCommit>>) -> Result<Option<Outcome>> {
        self.shared.poison.check()?;
        if self.may_depend_on_staged(&batch) {
            self.flush()?;
        }
        let replaced = {
            let memtable = &self.shared.memtable.read();
            let versions = &mut self.writer.versions;
            let mut current = RecordVersions { shared: self.shared, memtable, index: self.index, versions };
            if let Some(failed) = current.first_failed(&batch)? {
                return Ok(Some(Outcome::Failed(failed)));
            }
            Replaced(current.replaced(&batch)?)
        };
        if batch.writes.is_empty() {
            return Ok(Some(Outcome::Committed(self.shared.last_seq.load(Ordering::Acquire))));
        }
        self.append_to_log(&batch, &replaced)?;
        let seq = self.writer.log.last_seq();
        self.writer.staged.push(StagedCommit { seq, batch, replaced, ticket: ticket.cloned() });
        Ok(None)
    }

    /// Whether what a batch asks for may be changed by one that is not in the memtable yet.
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

    fn append_to_log(&mut self, batch: &Batch, replaced: &Replaced) -> Result<()> {
        let Self { shared, writer, .. } = self;
        if let Err(error) = writer.log.reserve(batch) {
            // Nothing was written: a disk that is full is no reason to stop.
            return if error.is_disk_full() { Err(error) } else { shared.poison.on_error(Err(error)) };
        }
        let segments = writer.log.segments();
        let synced = shared.synced.done();
        let time = shared.options.clock.now();
        let appended = writer.log.append(batch, time, |n| replaced.by(n).unwrap_or(0), synced);
        if writer.log.segments() != segments {
            shared.upkeep.work();
        }
        shared.poison.on_error(appended)
    }

    /// Writes what is staged, makes it visible, and answers those who wait for it.
    fn flush(&mut self) -> Result<()> {
        self.write().inspect_err(|_| self.give_up())?;
        let Some(last) = self.writer.staged.last() else { return Ok(()) };
        let seq = last.seq;
        self.is_flushing = true;
        self.put();
        self.shared.last_seq.store(seq, Ordering::Release);
        for staged in self.writer.staged.drain(..) {
            self.shared.feed.publish(staged.seq, &staged.batch);
            if let Some(ticket) = staged.ticket {
                ticket.answer(Ok(Outcome::Committed(staged.seq)));
            }
        }
        self.is_flushing = false;
        Ok(())
    }

    fn write(&mut self) -> Result<()> {
        self.shared.poison.check()?;
        self.shared.poison.on_error(self.writer.log.flush())
    }

    /// Nobody knows what the log holds of what is staged.
    fn give_up(&mut self) {
        for staged in self.writer.staged.drain(..) {
            if let Some(ticket) = staged.ticket {
                ticket.answer(Err(self.shared.unknown()));
            }
        }
    }

    /// Puts what is staged into the memtable.
    fn put(&mut self) {
        let Writer { staged, versions, .. } = &mut *self.writer;
        let mut memtable = self.shared.memtable.write();
        for StagedCommit { seq, batch, replaced, .. } in staged {
            for (n, write) in batch.writes.iter_mut().enumerate() {
                let (key, payload) = write.take();
                versions.forget(key);
                memtable.active.put(key, *seq, payload, replaced.by(n));
            }
        }
        self.shared.judge_pressure(self.writer, &memtable.active);
    }
}

impl Drop for WriteGroup<'_> {
    fn drop(&mut self) {
        if self.is_flushing || !self.writer.staged.is_empty() || !self.writer.log.is_flushed() {
            // By an error, and poisoned by it, or by a panic.
            self.shared.poison.poison(&self.shared.unknown());
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::disk::sim::{Fault, Plan, SimDisk};
    use crate::engine::Expect;
    use crate::engine::durable::options::Options;
    use crate::engine::durable::tests::sim::{self, SimIndexDirectory};
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

    fn turn(store: &Shared, own: Batch) -> Result<Outcome> {
        store.with_index(|index| WriteGroup::new(store, index, &mut store.writer.lock()).commit(own))
    }

    fn store() -> (SimDisk, Shared) {
        let disk = SimDisk::new();
        let store = sim::open(&disk, &SimIndexDirectory::new(&disk), &Options::default()).unwrap();
        disk.plan(None);
        (disk, store)
    }

    #[test]
    fn who_waits_shares_the_write_in_the_order_of_arrival() {
        let (disk, store) = store();
        let tickets = ["a", "b", "c"].map(|name| store.queue.join(put(name)));
        assert_eq!(turn(&store, put("d")).unwrap(), Outcome::Committed(4));
        for (ticket, seq) in tickets.iter().zip(1..) {
            assert_eq!(ticket.take_answer().unwrap().unwrap(), Outcome::Committed(seq));
        }
        assert_eq!(disk.operations(), 1, "one write");
        for (name, seq) in ["a", "b", "c", "d"].iter().zip(1..) {
            assert_eq!(store.get(&key(name)).unwrap().unwrap().version, seq);
        }
    }

    #[test]
    fn one_of_those_who_claim_at_once_gets_it() {
        let (_, store) = store();
        let tickets = [(); 3].map(|()| store.queue.join(claim()));
        assert_eq!(turn(&store, claim()).unwrap(), Outcome::Failed(0));
        let answers = tickets.map(|ticket| ticket.take_answer().unwrap().unwrap());
        assert_eq!(answers, [Outcome::Committed(1), Outcome::Failed(0), Outcome::Failed(0)]);
    }

    /// Opening refuses an owner whose predecessor is not the one that the log names.
    #[test]
    fn an_owner_replaces_the_one_that_came_with_it() {
        let (disk, store) = store();
        store.queue.join(Batch::new().put(Key::owner("p"), Bytes::new()));
        turn(&store, Batch::new().put(Key::owner("p"), Bytes::new())).unwrap();
        drop(store);
        let store = sim::open(&disk, &SimIndexDirectory::new(&disk), &Options::default()).unwrap();
        assert_eq!(store.get(&Key::owner("p")).unwrap().unwrap().version, 2);
    }

    #[test]
    fn more_than_fit_into_a_turn_are_all_committed() {
        let (_, store) = store();
        let tickets: Vec<_> =
            (0..2 * COMPARISONS_MAX).map(|n| store.queue.join(put(&format!("{n}")))).collect();
        turn(&store, put("own")).unwrap();
        for (ticket, seq) in tickets.iter().zip(1..) {
            assert_eq!(ticket.take_answer().unwrap().unwrap(), Outcome::Committed(seq));
        }
    }

    #[test]
    fn a_failed_write_fails_all_that_share_it() {
        let (disk, store) = store();
        let tickets = ["a", "b"].map(|name| store.queue.join(put(name)));
        disk.plan(Some(Plan { at: 1, what: Fault::Error }));
        turn(&store, put("c")).unwrap_err();
        for ticket in tickets {
            let error = ticket.take_answer().unwrap().unwrap_err();
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
        turn(&store, put("a")).unwrap_err();
        disk.plan(None);
        assert!(store.freeze().unwrap_err().is_poisoned());
        assert!(store.lock_writer().unwrap_err().is_poisoned());
        assert!(store.sync_to(1).unwrap_err().is_poisoned());
        assert_eq!((disk.operations(), store.synced.done()), (0, 0));
    }

    #[test]
    fn a_check_beside_others_answers_what_is_visible() {
        let (_, store) = store();
        let check = store.queue.join(Batch::new().expect(key("a"), Expect::Absent));
        let late = store.queue.join(put("b"));
        turn(&store, put("a")).unwrap();
        assert_eq!(check.take_answer().unwrap().unwrap(), Outcome::Committed(0));
        assert_eq!(late.take_answer().unwrap().unwrap(), Outcome::Committed(1));
    }

    /// As if the thread had panicked.
    #[test]
    fn a_turn_that_ends_halfway_poisons_the_store() {
        let (_, store) = store();
        let ticket = store.queue.join(put("a"));
        store
            .with_index(|index| {
                WriteGroup::new(&store, index, &mut store.writer.lock()).stage_waiting();
                Ok(())
            })
            .unwrap();
        let answer = store.with_index(|index| store.answer(index, &mut store.writer.lock(), &ticket));
        assert!(answer.unwrap_err().is_poisoned());
        assert!(turn(&store, put("b")).is_err());
    }
}
