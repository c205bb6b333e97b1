//! The last checkpoint when a store is closed, and the disk space that it then frees.

use super::checkpointer::{CheckpointState, Checkpointer};
use crate::engine::durable::storage::IndexBackend;
use crate::engine::durable::wal::SHORT_SEGMENT_BYTES;
use crate::error::Result;

impl Checkpointer {
    /// Brings the index up to the newest commit and closes the log; returns the last commit in the
    /// index.
    pub(crate) fn finish(&self, index: &dyn IndexBackend) -> Result<u64> {
        let mut state = self.state.lock();
        self.checkpoint(index, &mut state)?;
        let covered = self.cover_log(index, &mut state)?;
        self.commits.close_log()?;
        // The log remains valid without these segments.
        self.commits.release_log(covered);
        self.commits.delete_free_files()?;
        self.commits.shrink_log()?;
        Ok(state.applied)
    }

    /// Writes a snapshot that covers the whole log, if that exceeds the history to keep and the
    /// snapshot is smaller; returns the commit up to which the log is no longer needed.
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
