//! Closing.

use std::sync::atomic::Ordering;

use super::base::Base;
use super::shared::Shared;
use crate::error::Result;

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
        let noted =
            finished.and(closed).and_then(|()| self.parts.home.note(self.last_seq.load(Ordering::Acquire)));
        self.parts.home.release();
        noted
    }

    fn finish(&self, base: &dyn Base) -> Result<()> {
        self.checkpoint(base, &mut self.ground.lock())?;
        let mut writer = self.writer.lock();
        writer.log.close(self.durable.load(Ordering::Acquire))
    }
}
