//! Closing.

use super::base::Base;
use super::shared::{Ground, Shared};
use crate::error::Result;

/// A closed store keeps this part of the log that an open one has before a snapshot.
const LOG_SHARE_KEPT: u64 = 4;

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
        let done = finished.and_then(|applied| closed.and_then(|()| self.note(self.position(applied))));
        self.parts.home.release();
        self.synced.wake_tasks();
        done
    }

    /// Answers the commit up to which the index has everything.
    fn finish(&self, base: &dyn Base) -> Result<u64> {
        let mut ground = self.ground.lock();
        self.checkpoint(base, &mut ground)?;
        self.close_log()?;
        self.give_space_back(base, &mut ground)?;
        Ok(ground.applied)
    }

    /// Says at the end of the log that all of it is durable, and notes it.
    pub(super) fn close_log(&self) -> Result<()> {
        let mut writer = self.writer.lock();
        writer.log.close()?;
        let last = writer.log.last();
        drop(writer);
        self.note_synced(last);
        Ok(())
    }

    /// A closed store needs no files for log that is to come, nor log that costs more
    /// than the snapshot that makes it superfluous. Of what is less it is kept, for
    /// whoever asks what happened.
    fn give_space_back(&self, base: &dyn Base, ground: &mut Ground) -> Result<()> {
        let retained = self.writer.lock().log.retained();
        let is_much = retained > self.options.snapshot_log_bytes / LOG_SHARE_KEPT;
        if is_much && base.disk_bytes()? < retained {
            self.snapshot(base, ground, &|| false)?;
        }
        self.pool.delete_unused()
    }
}
