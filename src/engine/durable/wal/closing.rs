//! The end of a closed log, which is marked as such and shortened to what it needs. The first
//! segment after an opening is therefore short.

use super::log::Log;
use crate::engine::durable::wal::format::Kind;
use crate::engine::durable::wal::segments::{SHORT_SEGMENT_BYTES, Segment};
use crate::error::Result;

/// The remaining space at which the next segment is prepared.
const ROOM_WANTED: u64 = SHORT_SEGMENT_BYTES as u64 / 2;

impl Log {
    /// Returns the length of the current segment.
    pub(crate) fn segment_len(&self) -> u64 {
        self.current.bytes
    }

    /// Returns the end of the frames in the current segment.
    pub(crate) fn segment_end(&self) -> u64 {
        self.offset
    }

    /// Reports once whether the next segment must be prepared early, because the current one is
    /// short.
    pub(crate) fn asks_for_segment(&mut self) -> bool {
        let is_short = self.current.bytes < self.pool.segment_bytes();
        if self.has_asked || !is_short || self.current.bytes.saturating_sub(self.offset) > ROOM_WANTED {
            return false;
        }
        self.has_asked = true;
        true
    }

    /// Continues in the segment `next`, so that the current one can be released once a snapshot has
    /// every commit.
    pub(crate) fn continue_in(&mut self, next: Segment, synced: u64) -> Result<()> {
        self.flush()?;
        self.rotate_to(next, synced)?;
        // No commit starts in the old segment and ends in the new one.
        if let Some(full) = self.sealed.back_mut() {
            full.until = self.last.seq;
        }
        Ok(())
    }

    /// Makes the log durable and records so at its end, if there is space.
    ///
    /// That frame needs a sync too, but no commit depends on it.
    pub(crate) fn close(&mut self) -> Result<()> {
        self.sync()?;
        self.mark(Kind::Close, self.last.seq)?;
        self.sync()
    }

    fn sync(&mut self) -> Result<()> {
        self.take_unsynced().iter().try_for_each(|file| file.sync())
    }

    /// Replaces the file of the last segment, whose frames are all durable, by one that ends soon
    /// after them, if that is much shorter.
    pub(crate) fn shrink(&mut self) -> Result<()> {
        if let Some(shorter) = self.pool.shrink(&self.current, self.offset)? {
            self.current = shorter;
        }
        Ok(())
    }
}
