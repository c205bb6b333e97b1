//! The end of a log: it says that it was closed, and takes no more space than it needs. So the
//! first segment after an opening is a short one.

use super::log::Log;
use crate::engine::durable::wal::format::Kind;
use crate::engine::durable::wal::segments::{SHORT_SEGMENT_BYTES, Segment};
use crate::error::Result;

/// With less room than this the next segment is prepared.
const ROOM_WANTED: u64 = SHORT_SEGMENT_BYTES as u64 / 2;

impl Log {
    /// The length of the segment in use.
    pub(crate) fn segment_len(&self) -> u64 {
        self.current.bytes
    }

    /// How much of that is written.
    pub(crate) fn segment_end(&self) -> u64 {
        self.offset
    }

    /// Whether the next segment is to be prepared before its time, as it must be where the one in
    /// use is short. Says so once.
    pub(crate) fn asks_for_segment(&mut self) -> bool {
        let is_short = self.current.bytes < self.pool.segment_bytes();
        if self.has_asked || !is_short || self.current.bytes.saturating_sub(self.offset) > ROOM_WANTED {
            return false;
        }
        self.has_asked = true;
        true
    }

    /// Goes on in the segment `next`, so that the one in use can be released once a snapshot has
    /// every commit.
    pub(crate) fn go_on_in(&mut self, next: Segment, synced: u64) -> Result<()> {
        self.flush()?;
        self.rotate_to(next, synced)?;
        // No commit begins in the old segment and ends in the new one.
        if let Some(full) = self.sealed.back_mut() {
            full.until = self.last.seq;
        }
        Ok(())
    }

    /// Makes the log durable and says so at its end, if there is room. That frame needs a sync too,
    /// but no commit depends on it.
    pub(crate) fn close(&mut self) -> Result<()> {
        self.sync()?;
        self.mark(Kind::Close, self.last.seq)?;
        self.sync()
    }

    fn sync(&mut self) -> Result<()> {
        self.take_unsynced().iter().try_for_each(|file| file.sync())
    }

    /// Gives the last segment a file that ends soon behind its frames, all of which are durable, if
    /// that is much shorter.
    pub(crate) fn shrink(&mut self) -> Result<()> {
        if let Some(shorter) = self.pool.shrink(&self.current, self.offset)? {
            self.current = shorter;
        }
        Ok(())
    }
}
