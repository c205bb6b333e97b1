//! Closing.

use crate::engine::durable::shared::{CheckpointState, Shared};
use crate::engine::durable::storage::IndexBackend;
use crate::error::Result;

/// A closed store keeps this part of the log that an open one has before a snapshot.
const LOG_SHARE_KEPT: u64 = 4;

impl Shared {
    /// Brings the index up to the newest commit and lets go of everything. Does
    /// nothing the second time. The threads have ended.
    pub(crate) fn close(&self) -> Result<()> {
        // Waits for every call that is under way.
        let index = self.index.write().take();
        self.feed.close();
        let Some(index) = index else { return Ok(()) };
        let finished = self.poison.check().and_then(|()| self.finish(&*index));
        let closed = index.close();
        let done = finished.and_then(|applied| closed.and_then(|()| self.note(self.position(applied))));
        self.files.index_dir.release();
        self.synced.wake_tasks();
        done
    }

    /// Answers the commit up to which the index has everything.
    fn finish(&self, index: &dyn IndexBackend) -> Result<u64> {
        let mut ground = self.ground.lock();
        self.checkpoint(index, &mut ground)?;
        self.close_log()?;
        self.give_space_back(index, &mut ground)?;
        Ok(ground.applied)
    }

    /// Says at the end of the log that all of it is durable, and notes it.
    pub(crate) fn close_log(&self) -> Result<()> {
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
    fn give_space_back(&self, index: &dyn IndexBackend, ground: &mut CheckpointState) -> Result<()> {
        let retained = self.writer.lock().log.retained();
        let is_much = retained > self.options.snapshot_log_bytes / LOG_SHARE_KEPT;
        if is_much && index.disk_bytes()? < retained {
            self.snapshot(index, ground, &|| false)?;
        }
        self.pool.delete_unused()
    }
}
