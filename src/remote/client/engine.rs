//! Sends calls of the engine as messages.

use std::sync::atomic::Ordering;

use super::super::wire;
use super::line::ANSWER_TIME_MAX;
use super::{RemoteEngine, listing::Listing};
use crate::archive::Target;
use crate::engine::wal::Visitor as LogVisitor;
use crate::engine::{Backup, Batch, Durability, Engine, Feed, Outcome, Stats, Visitor};
use crate::error::{Failure, Result};
use crate::proto::engine as proto;
use crate::proto::engine::committed;
use crate::proto::engine::frame::What;
use crate::record::{Key, KeyRange, Record};

impl Engine for RemoteEngine {
    fn get(&self, key: &Key) -> Result<Option<Record>> {
        let found: proto::Found = self.wire.read("get", &proto::Get { key: key.bytes().clone() })?;
        found.record.map(wire::to_record).transpose()
    }

    fn scan(&self, range: &KeyRange, visit: &mut Visitor<'_>) -> Result<()> {
        self.scan_first(range, usize::MAX, visit)
    }

    fn scan_first(&self, range: &KeyRange, max: usize, visit: &mut Visitor<'_>) -> Result<()> {
        if max == 0 {
            return Ok(());
        }
        // 0 means no limit.
        let asked = if max == usize::MAX { 0 } else { max as u64 };
        let scan = proto::Scan { start: range.start.clone(), end: range.end.clone(), max: asked };
        let mut listing = Listing::begin(&self.wire, "scan", &scan)?;
        while let Some(what) = listing.next()? {
            let What::Record(record) = what else { continue };
            if visit(wire::to_record(record)?.borrow()).is_break() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn count(&self, range: &KeyRange) -> Result<u64> {
        let count = proto::Count { start: range.start.clone(), end: range.end.clone() };
        Ok(self.wire.read::<proto::Counted>("count", &count)?.records)
    }

    /// Never sent twice: a commit whose answer was lost may have been made.
    fn commit(&self, batch: Batch, durability: Durability) -> Result<Outcome> {
        batch.check()?;
        let commit = wire::commit(batch, durability == Durability::Synced);
        let answer = self.wire.call("commit", &commit, ANSWER_TIME_MAX)?;
        let committed: proto::Committed = answer.map_err(|lost| self.wire.line.uncertain(lost))?;
        match committed.outcome {
            Some(committed::Outcome::Seq(seq)) => {
                self.wire.note(seq);
                Ok(Outcome::Committed(seq))
            }
            Some(committed::Outcome::Failed(index)) => {
                Ok(Outcome::Failed(usize::try_from(index).unwrap_or(usize::MAX)))
            }
            None => {
                let (place, why) = (self.wire.line.address.to_string(), "its answer is empty".to_owned());
                Err(Failure::Uncertain { place, why }.into())
            }
        }
    }

    fn sync(&self) -> Result<()> {
        self.wire.read::<proto::Done>("sync", &proto::Sync {}).map(|_| ())
    }

    fn last_seq(&self) -> u64 {
        self.newest_seq().unwrap_or(self.wire.seen.load(Ordering::Relaxed))
    }

    fn newest_seq(&self) -> Result<u64> {
        let welcome: proto::Welcome = self.wire.read("hello", &proto::Hello {})?;
        self.wire.note(welcome.last_seq);
        Ok(welcome.last_seq)
    }

    /// The first call subscribes to commits.
    fn feed(&self) -> &Feed {
        self.listen();
        &self.feed
    }

    fn backup(&self, target: &Target) -> Result<Backup> {
        super::archive::fetch(&self.wire, target)
    }

    fn browse_log(&self, after: u64, visit: &mut LogVisitor<'_>) -> Result<()> {
        let mut listing = Listing::begin(&self.wire, "log", &proto::Log { after })?;
        while let Some(what) = listing.next()? {
            match what {
                What::Entry(entry) => visit(wire::to_entry(&entry))?,
                What::Gap(gap) => visit(wire::to_gap(gap))?,
                _ => {}
            }
        }
        Ok(())
    }

    fn stats(&self) -> Result<Stats> {
        self.wire.read("stats", &proto::Hello {}).map(wire::to_stats)
    }

    /// Closes the connection; the store stays open in its program.
    fn close(&self) -> Result<()> {
        self.wire.close();
        self.feed.close();
        Ok(())
    }
}
