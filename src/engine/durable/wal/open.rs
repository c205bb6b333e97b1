//! Opens a new log, or one with a known end, for appending.

use std::collections::VecDeque;
use std::sync::Arc;

use super::log::{End, Log, Sealed};
use super::log_files::LogFiles;
use crate::engine::durable::wal::scan::LogEnd;
use crate::engine::durable::wal::segments::SegmentDirectory;
use crate::engine::durable::wal::segments::{Pool, Segment, Stock};
use crate::error::{Error, Failure, Result};
use crate::record::Position;

impl LogFiles {
    /// Starts a log whose first commit is the one after `last`.
    pub(crate) fn create(&self, last: Position) -> Result<(Log, Arc<Pool>)> {
        self.disk.create_dir(&self.dir)?;
        self.begin_anew(&self.load()?, last)
    }

    /// Starts a log in a new segment in place of an obsolete one, which is erased once the new one
    /// is durable.
    pub(crate) fn begin_anew(
        &self,
        directory: &SegmentDirectory,
        last: Position,
    ) -> Result<(Log, Arc<Pool>)> {
        let pool = self.pool(directory.stock(Some(u64::MAX)));
        let log = Log::create(pool.clone(), last)?;
        pool.release(directory.erase()?);
        Ok((log, pool))
    }

    /// Continues a log that was scanned and repaired.
    pub(crate) fn resume(&self, directory: &SegmentDirectory, found: &LogEnd) -> Result<(Log, Arc<Pool>)> {
        let last = found.end.segment;
        let stored = directory.get(last).ok_or_else(|| self.missing(last))?;
        let (slot, bytes) = (stored.slot, stored.bytes);
        let current = Segment { id: last, slot, file: directory.file(slot)?, bytes };
        let pool = self.pool(directory.stock(Some(last)));
        let sealed = sealed(directory, found)?;
        let end = End { offset: found.end.offset, last: found.last(), says: found.says };
        Ok((Log::resume(pool.clone(), current, end, sealed), pool))
    }

    fn pool(&self, stock: Stock) -> Arc<Pool> {
        Arc::new(Pool::new(self, stock))
    }

    fn missing(&self, segment: u64) -> Error {
        let place = format!("log {}", self.dir.display());
        Failure::Corrupt { place, why: format!("segment {segment} is gone") }.into()
    }
}

/// Returns the segments before the one in which the log ends.
fn sealed(directory: &SegmentDirectory, found: &LogEnd) -> Result<VecDeque<Sealed>> {
    let mut sealed = VecDeque::new();
    let mut until = found.last_seq + 1;
    for (segment, stored) in directory.iter().rev().filter(|(segment, _)| *segment <= found.end.segment) {
        if segment < found.end.segment {
            sealed.push_front(Sealed { slot: stored.slot, until, bytes: stored.bytes });
        }
        until = directory.first_frame(segment, stored)?.map_or(until, |head| head.seq);
    }
    Ok(sealed)
}
