//! What the checkpoint thread does each time it is woken. Tests, which have no threads, call it
//! themselves.

use super::checkpointer::Checkpointer;
use crate::engine::durable::storage::IndexBackend;
use crate::error::Result;

impl Checkpointer {
    /// Writes a checkpoint, and a snapshot if the log has outgrown the state.
    pub(crate) fn maintain(&self, index: &dyn IndexBackend) -> Result<()> {
        self.checkpoint_and_snapshot(index, || self.commits.is_snapshot_due())
    }

    /// Writes a checkpoint, and a snapshot if `is_due` says so and there is something new.
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
        // Commits that wait do so for this.
        self.commits.update_back_pressure();
        // Whatever it was, damage included: the index is not what it should be.
        done.inspect_err(|error| self.shared.poison.poison(error))
    }
}
