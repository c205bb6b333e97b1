//! The work of the checkpoint thread at each wake-up. Tests without threads call it directly.

use super::checkpointer::Checkpointer;
use crate::engine::durable::storage::IndexBackend;
use crate::error::Result;

impl Checkpointer {
    /// Writes a checkpoint, and a snapshot if the log has outgrown the state.
    pub(crate) fn maintain(&self, index: &dyn IndexBackend) -> Result<()> {
        self.checkpoint_and_snapshot(index, || self.commits.is_snapshot_due())
    }

    /// Writes a checkpoint, and a snapshot if `is_due` returns true and there are new commits.
    pub(crate) fn checkpoint_and_snapshot(
        &self,
        index: &dyn IndexBackend,
        is_due: impl FnOnce() -> bool,
    ) -> Result<()> {
        let mut state = self.state.lock();
        let done = self.checkpoint(index, &mut state).and_then(|()| {
            if !(Self::is_snapshot_old(&state) && is_due()) {
                return Ok(());
            }
            self.snapshot(index, &mut state, &|| self.shared.checkpoint_thread.is_stopped())
        });
        // Commits may be waiting for this.
        self.commits.update_back_pressure();
        // Any failure, including damage, leaves the index in an unknown state.
        done.inspect_err(|error| self.shared.poison.poison(error))
    }
}
