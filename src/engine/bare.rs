//! The index alone as an engine, one transaction per commit. Only tests use it, since the death of
//! the program loses unsynced commits.

use std::ops::ControlFlow;
use std::sync::Arc;

use parking_lot::RwLock;

use super::index_records::{open_entry, open_value, open_version};
use super::{Backup, Batch, Durability, Engine, Feed, Outcome, Stats, Visitor, Write};
use crate::archive::{self, Target};
use crate::disk::RealDisk;
use crate::error::{Failure, Result};
use crate::index::{Index, Stop, Transaction};
use crate::record::{self, Key, KeyRange, Position, Record};

#[derive(Debug)]
pub(crate) struct BareEngine {
    /// Locked exclusively by commits, so that a scan sees whole transactions.
    index: RwLock<Option<Index>>,
    feed: Feed,
}

impl BareEngine {
    pub(crate) fn new(index: Index) -> Self {
        Self { index: RwLock::new(Some(index)), feed: Feed::default() }
    }

    fn with_index<T>(&self, call: impl FnOnce(&Index) -> Result<T>) -> Result<T> {
        call(self.index.read().as_ref().ok_or(Failure::Closed)?)
    }
}

fn run(transaction: &Transaction<'_>, batch: &Batch) -> Result<u64, Stop<usize>> {
    for (n, precondition) in batch.preconditions.iter().enumerate() {
        let value = transaction.get(precondition.key.bytes())?;
        let version = value.map(|value| open_version(&precondition.key, &value)).transpose()?;
        if !precondition.expect.holds(version) {
            return Err(Stop::Refuse(n));
        }
    }
    let seq = transaction.seq() + u64::from(!batch.writes.is_empty());
    for write in &batch.writes {
        match write {
            Write::Put { key, payload } => transaction.put(key.bytes(), &record::seal(key, seq, payload))?,
            Write::Delete { key } => transaction.delete(key.bytes())?,
        }
    }
    transaction.set_position(Position::new(seq, None));
    Ok(seq)
}

impl Engine for BareEngine {
    fn get(&self, key: &Key) -> Result<Option<Record>> {
        let value = self.with_index(|index| index.get(key.bytes()))?;
        value.map(|value| open_value(key, value)).transpose()
    }

    fn scan(&self, range: &KeyRange, visit: &mut Visitor<'_>) -> Result<()> {
        let mut damage = Ok(());
        let mut open = |key: &[u8], value: &[u8]| match open_entry(key, value) {
            Ok(record) => visit(record),
            Err(error) => {
                damage = Err(error);
                ControlFlow::Break(())
            }
        };
        self.with_index(|index| index.scan(&range.start, &range.end, &mut open))?;
        damage
    }

    fn commit(&self, batch: Batch, durability: Durability) -> Result<Outcome> {
        batch.check()?;
        let index = self.index.write();
        let index = index.as_ref().ok_or(Failure::Closed)?;
        let seq = match index.transact(|transaction| run(transaction, &batch))? {
            Ok(seq) => seq,
            Err(failed) => return Ok(Outcome::Failed(failed)),
        };
        if !batch.writes.is_empty() {
            self.feed.publish(seq, &batch);
            if durability == Durability::Synced {
                index.sync()?;
            }
        }
        Ok(Outcome::Committed(seq))
    }

    fn sync(&self) -> Result<()> {
        self.with_index(Index::sync)
    }

    fn last_seq(&self) -> u64 {
        self.stats().map_or(0, |stats| stats.last_seq)
    }

    fn feed(&self) -> &Feed {
        &self.feed
    }

    fn backup(&self, target: &Target) -> Result<Backup> {
        self.with_index(|index| {
            let seq = index.contents()?.unwrap_or_default().seq;
            let mut writer = archive::Writer::create(
                Arc::new(RealDisk::PRIVATE),
                target.clone(),
                [0; 16],
                Position::new(seq, None),
            )?;
            index.scan(&[], &[u8::MAX], &mut |key: &[u8], value: &[u8]| {
                writer.add(key, value).unwrap();
                ControlFlow::Continue(())
            })?;
            Ok(writer.finish()?.into())
        })
    }

    fn stats(&self) -> Result<Stats> {
        let contents = self.with_index(Index::contents)?.unwrap_or_default();
        Ok(Stats { last_seq: contents.seq, records: contents.records, ..Stats::default() })
    }

    fn close(&self) -> Result<()> {
        self.feed.close();
        self.index.write().take().map_or(Ok(()), Index::close)
    }
}
