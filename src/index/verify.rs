//! Verification: reads every record, and compares count and sum with the contents record.
//!
//! Two threads read towards each other, one from the first record and one from the last.

use std::ops::ControlFlow;
use std::panic::resume_unwind;
use std::thread::{Builder, ScopedJoinHandle, scope};

use parking_lot::Mutex;
use sled::IVec;

use super::contents::Contents;
use super::guard::Fault;
use super::key::RECORD;
use super::{Index, chunks};
use crate::error::Result;
use crate::record::fingerprint;

/// The number of records that a thread counts at once.
const BATCH: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    First,
    Last,
}

/// The records counted so far: those before a key, and those after another one.
struct Counted {
    contents: Contents,
    /// The last key counted from the first record on.
    first: Option<IVec>,
    /// The last key counted from the last record back.
    last: Option<IVec>,
}

impl Index {
    /// Fails unless the index has exactly the records that its last commit left, or `stop` returns
    /// true. Nothing may change it meanwhile.
    pub(crate) fn verify(&self, stop: &(dyn Fn() -> bool + Sync)) -> Result<()> {
        let stated = self.contents()?.unwrap_or_default();
        let found = self.count_from_both_ends(stated.emptied(), stop)?;
        if found == stated || stop() {
            return Ok(());
        }
        Err(self.corrupt(&format!(
            "it holds {} records where its last commit ({}) left {}, or has different ones: some are missing or older versions",
            found.records, stated.seq, stated.records
        )))
    }

    fn count_from_both_ends(&self, empty: Contents, stop: &(dyn Fn() -> bool + Sync)) -> Result<Contents> {
        let counted = Mutex::new(Counted { contents: empty, first: None, last: None });
        scope(|scope| {
            // Without another thread this one counts all of them.
            let other =
                Builder::new().spawn_scoped(scope, || self.count_from(End::Last, &counted, stop)).ok();
            let own = self.count_from(End::First, &counted, stop);
            let join =
                |other: ScopedJoinHandle<'_, _>| other.join().unwrap_or_else(|panic| resume_unwind(panic));
            own.and(other.map_or(Ok(()), join))
        })?;
        Ok(counted.into_inner().contents)
    }

    /// Counts the records from one end, up to those that are counted already, or until `stop` returns
    /// true.
    fn count_from(&self, end: End, counted: &Mutex<Counted>, stop: &dyn Fn() -> bool) -> Result<()> {
        self.guarded("read records", || {
            let mut entries = self.db.range([RECORD]..[RECORD + 1]);
            let mut batch = Vec::with_capacity(BATCH);
            loop {
                batch.clear();
                for _ in 0..BATCH {
                    let next = match end {
                        End::First => entries.next(),
                        End::Last => entries.next_back(),
                    };
                    let Some(entry) = next else { break };
                    let (key, head) = entry?;
                    let value = chunks::view(&head, |key| self.db.get(key).map_err(Fault::from))?;
                    let fingerprint = fingerprint(key.get(1..).unwrap_or_default(), &value);
                    batch.push((key, fingerprint));
                }
                if counted.lock().add(end, &batch).is_break() || stop() {
                    return Ok(());
                }
            }
        })
    }
}

impl Counted {
    /// Adds the next records from one end, each a key and a fingerprint, except those counted from the
    /// other end. Breaks if there are no others.
    fn add(&mut self, end: End, batch: &[(IVec, u64)]) -> ControlFlow<()> {
        let Some((newest, _)) = batch.last() else { return ControlFlow::Break(()) };
        let is_new = |key: &IVec| match end {
            End::First => self.last.as_ref().is_none_or(|last| key < last),
            End::Last => self.first.as_ref().is_none_or(|first| first < key),
        };
        for (_, fingerprint) in batch.iter().filter(|(key, _)| is_new(key)) {
            self.contents.count(*fingerprint);
        }
        let flow = if is_new(newest) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
        match end {
            End::First => self.first = Some(newest.clone()),
            End::Last => self.last = Some(newest.clone()),
        }
        flow
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const KEYS: u8 = 20;

    /// Counts the keys in batches of random length from both ends, in a random order.
    fn count(rng: &mut fastrand::Rng) -> Contents {
        let mut counted = Counted { contents: Contents::default(), first: None, last: None };
        let record = |key: u8| (IVec::from(&[key]), u64::from(key));
        let (mut front, mut back) = (0..KEYS, (0..KEYS).rev());
        let mut ends: BTreeSet<bool> = [false, true].into();
        while let Some(is_front) = rng.choice(ends.iter().copied()) {
            let length = rng.usize(1..KEYS.into());
            let (end, batch): (_, Vec<_>) = match is_front {
                true => (End::First, front.by_ref().take(length).map(record).collect()),
                false => (End::Last, back.by_ref().take(length).map(record).collect()),
            };
            if counted.add(end, &batch).is_break() {
                ends.remove(&is_front);
            }
        }
        counted.contents
    }

    #[test]
    fn each_record_is_counted_once() {
        let seed = fastrand::u64(..);
        let mut rng = fastrand::Rng::with_seed(seed);
        for _ in 0..1000 {
            let Contents { records, sum, .. } = count(&mut rng);
            assert_eq!((records, sum), (KEYS.into(), (0..KEYS).map(u64::from).sum()), "seed {seed}");
        }
    }
}
