//! Snapshots of an open store: when they are due, and the release of log.

use std::time::Instant;

use super::checkpointer::{CheckpointState, Checkpointer};
use crate::engine::durable::storage::IndexBackend;
use crate::error::{Error, Result};

impl Checkpointer {
    /// Reports whether the index has commits that the newest snapshot lacks.
    pub(super) fn is_snapshot_old(state: &CheckpointState) -> bool {
        state.snapshot.as_ref().is_none_or(|snapshot| snapshot.seq < state.applied)
    }

    /// Writes a snapshot of the index, which must not change meanwhile, and releases the log before
    /// it, unless `stop` returns true first.
    pub(super) fn snapshot(
        &self,
        index: &dyn IndexBackend,
        state: &mut CheckpointState,
        stop: &dyn Fn() -> bool,
    ) -> Result<()> {
        let began = Instant::now();
        let written = self.shared.files.snapshots.write(index, stop);
        let snapshot = match written.map_err(Error::before_writing) {
            Ok(Some(snapshot)) => snapshot,
            Ok(None) => return Ok(()),
            Err(error) if error.is_disk_full() => {
                tracing::warn!(%error, "the snapshot could not be written");
                return self.postpone_snapshot();
            }
            Err(error) => return Err(error),
        };
        let seq = snapshot.seq;
        self.set_snapshot(state, Some(snapshot));
        let mut statistics = self.statistics.lock();
        statistics.snapshots += 1;
        statistics.snapshot_time = began.elapsed();
        drop(statistics);
        self.commits.release_log(seq);
        self.commits.trim_free_files()
    }

    /// Postpones the snapshot.
    ///
    /// The log is complete without one: it grows until there is space again, or none at all.
    fn postpone_snapshot(&self) -> Result<()> {
        let retained = self.commits.retained_log();
        let snapshot_at = 2 * retained.max(self.shared.options.snapshot_log_bytes);
        self.commits.set_log_limits(snapshot_at, u64::MAX);
        self.shared.files.snapshots.tidy()
    }
}
