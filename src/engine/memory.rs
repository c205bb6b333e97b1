//! The memory engine: a sorted map. It serves tests, and is the reference for all other engines.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;

use super::{Backup, Batch, Durability, Engine, Feed, Outcome, Stats, Visitor, Write};
use crate::archive::{self, Target};
use crate::disk::RealDisk;
use crate::error::{Failure, Result};
use crate::record::{self, Key, KeyRange, Position, Record};

#[derive(Debug, Default)]
pub(crate) struct MemoryEngine {
    state: RwLock<State>,
    feed: Feed,
}

#[derive(Debug, Default)]
struct State {
    records: Records,
    closed: bool,
}

impl State {
    fn check_open(&self) -> Result<()> {
        if self.closed { Err(Failure::Closed.into()) } else { Ok(()) }
    }
}

/// Records as a value: the semantics of a commit, without locks and listeners.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Records {
    map: BTreeMap<Bytes, Record>,
    last_seq: u64,
}

impl Records {
    pub(crate) fn get(&self, key: &Key) -> Option<&Record> {
        self.map.get(key.bytes())
    }

    pub(crate) fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// Commits all writes of a batch if every precondition holds.
    pub(crate) fn commit(&mut self, batch: &Batch) -> Outcome {
        let failed = batch.preconditions.iter().position(|p| !p.expect.holds(self.version(&p.key)));
        if let Some(failed) = failed {
            return Outcome::Failed(failed);
        }
        if !batch.writes.is_empty() {
            self.last_seq += 1;
            batch.writes.iter().for_each(|write| self.apply(write));
        }
        Outcome::Committed(self.last_seq)
    }

    fn version(&self, key: &Key) -> Option<u64> {
        self.get(key).map(|record| record.version)
    }

    fn apply(&mut self, write: &Write) {
        match write {
            Write::Put { key, payload } => {
                let record = Record { key: key.clone(), version: self.last_seq, payload: payload.clone() };
                self.map.insert(key.bytes().clone(), record);
            }
            Write::Delete { key } => {
                self.map.remove(key.bytes());
            }
        }
    }
}

impl MemoryEngine {
    pub(crate) fn new() -> Self {
        Self::default()
    }
}

impl Engine for MemoryEngine {
    fn get(&self, key: &Key) -> Result<Option<Record>> {
        let state = self.state.read();
        state.check_open()?;
        Ok(state.records.get(key).cloned())
    }

    fn scan(&self, range: &KeyRange, visit: &mut Visitor<'_>) -> Result<()> {
        let state = self.state.read();
        state.check_open()?;
        if range.start >= range.end {
            return Ok(());
        }
        let bounds = (Bound::Included(&range.start[..]), Bound::Excluded(&range.end[..]));
        for (_, record) in state.records.map.range::<[u8], _>(bounds) {
            if let ControlFlow::Break(()) = visit(record.borrow()) {
                break;
            }
        }
        Ok(())
    }

    fn commit(&self, batch: Batch, _: Durability) -> Result<Outcome> {
        batch.check()?;
        let mut state = self.state.write();
        state.check_open()?;
        let outcome = state.records.commit(&batch);
        match outcome {
            Outcome::Committed(seq) if !batch.writes.is_empty() => self.feed.publish(seq, &batch),
            _ => {}
        }
        Ok(outcome)
    }

    fn sync(&self) -> Result<()> {
        self.state.read().check_open()
    }

    fn last_seq(&self) -> u64 {
        self.state.read().records.last_seq()
    }

    fn feed(&self) -> &Feed {
        &self.feed
    }

    fn backup(&self, target: &Target) -> Result<Backup> {
        let state = self.state.read();
        state.check_open()?;
        let mut writer = archive::Writer::create(
            Arc::new(RealDisk::PRIVATE),
            target.clone(),
            [0; 16],
            Position::new(state.records.last_seq, None),
        )?;
        for (key, Record { key: parsed, version, payload }) in &state.records.map {
            writer.add(key, &record::seal(parsed, *version, payload))?;
        }
        Ok(writer.finish()?.into())
    }

    fn stats(&self) -> Result<Stats> {
        let state = self.state.read();
        state.check_open()?;
        let (records, last_seq) = (state.records.map.len() as u64, state.records.last_seq);
        Ok(Stats { engine: "memory", last_seq, records, ..Stats::default() })
    }

    fn close(&self) -> Result<()> {
        self.state.write().closed = true;
        self.feed.close();
        Ok(())
    }
}
