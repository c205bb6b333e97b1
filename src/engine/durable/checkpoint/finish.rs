//! The last checkpoint, when a store is closed, and what the store then takes no more of the disk.

use super::checkpointer::{CheckpointState, Checkpointer};
use crate::engine::durable::storage::IndexBackend;
use crate::engine::durable::wal::SHORT_SEGMENT_BYTES;
use crate::error::Result;

impl Checkpointer {
    /// Brings the index up to the newest commit and closes the log. Answers the commit up to
    /// which the index has everything.
    pub(crate) fn finish(&self, index: &dyn IndexBackend) -> Result<u64> {
        let mut state = self.state.lock();
        self.checkpoint(index, &mut state)?;
        let covered = self.cover_log(index, &mut state)?;
        self.commits.close_log()?;
        // The log says what it is without them.
        self.commits.release_log(covered);
        self.commits.delete_free_files()?;
        self.commits.shrink_log()?;
        Ok(state.applied)
    }

    /// Lets a snapshot cover all of the log, if it is longer than what is kept for those who ask
    /// what happened, and if that takes less. Answers up to which commit the log is not needed
    /// then.
    fn cover_log(&self, index: &dyn IndexBackend, state: &mut CheckpointState) -> Result<u64> {
        let kept = self.shared.options.log_history_bytes.max(SHORT_SEGMENT_BYTES.into());
        let (in_use, _) = self.commits.log_in_use();
        if in_use <= kept {
            return Ok(0);
        }
        if Self::is_snapshot_old(state) && index.disk_bytes()? < in_use {
            self.snapshot(index, state, &|| false)?;
        }
        if Self::is_snapshot_old(state) {
            return Ok(0);
        }
        let (_, in_last_segment) = self.commits.log_in_use();
        if in_last_segment > kept {
            match self.commits.shorten_log(SHORT_SEGMENT_BYTES) {
                Err(error) if !error.is_disk_full() => return Err(error),
                _ => {}
            }
        }
        Ok(state.applied)
    }
}
