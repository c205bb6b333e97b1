//! The last checkpoint, when a store is closed.

use super::checkpointer::{CheckpointState, Checkpointer};
use crate::engine::durable::storage::IndexBackend;
use crate::error::Result;

/// A closed store keeps this part of the log that an open one has before a snapshot.
const LOG_SHARE_KEPT: u64 = 4;

impl Checkpointer {
    /// Brings the index up to the newest commit and closes the log. Answers the commit up to
    /// which the index has everything.
    pub(crate) fn finish(&self, index: &dyn IndexBackend) -> Result<u64> {
        let mut state = self.state.lock();
        self.checkpoint(index, &mut state)?;
        self.commits.close_log()?;
        self.give_space_back(index, &mut state)?;
        Ok(state.applied)
    }

    /// A closed store needs no files for log that is to come, nor log that takes more space
    /// than the snapshot that covers it. A shorter log is kept, for whoever asks what happened.
    fn give_space_back(&self, index: &dyn IndexBackend, state: &mut CheckpointState) -> Result<()> {
        let retained = self.commits.retained_log();
        let is_much = retained > self.shared.options.snapshot_log_bytes / LOG_SHARE_KEPT;
        if is_much && index.disk_bytes()? < retained {
            self.snapshot(index, state, &|| false)?;
        }
        self.commits.delete_free_files()
    }
}
