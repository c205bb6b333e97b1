//! Closing.

use super::base::Base;
use super::shared::Shared;
use crate::error::{Error, Result};

impl Shared {
    /// Brings the index up to the newest commit and lets go of everything. Does
    /// nothing the second time. The threads have ended.
    pub(super) fn close(&self) -> Result<()> {
        // Waits for every call that is under way.
        let base = self.base.write().take();
        self.feed.close();
        let Some(base) = base else { return Ok(()) };
        let finished = self.poison.check().and_then(|()| self.finish(&*base));
        let closed = base.close();
        let done = finished.and_then(|applied| closed.and_then(|()| self.note(applied)));
        self.parts.home.release();
        done
    }

    fn note(&self, applied: u64) -> Result<()> {
        match self.parts.home.note(applied).map_err(Error::before_writing) {
            // What was noted before still holds.
            Err(error) if error.is_disk_full() => Ok(()),
            noted => noted,
        }
    }

    /// Answers the commit up to which the index has everything.
    fn finish(&self, base: &dyn Base) -> Result<u64> {
        let mut ground = self.ground.lock();
        self.checkpoint(base, &mut ground)?;
        self.writer.lock().log.close()?;
        Ok(ground.applied)
    }
}
