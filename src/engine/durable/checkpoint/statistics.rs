//! Statistics of checkpoints and snapshots.

use std::time::Duration;

use crate::engine::Stats;

#[derive(Debug, Default)]
pub(super) struct Statistics {
    pub(super) checkpoint_seq: u64,
    pub(super) checkpoints: u64,
    pub(super) checkpoint_time: Duration,
    pub(super) snapshot_seq: u64,
    pub(super) snapshot_bytes: u64,
    pub(super) snapshots: u64,
    pub(super) snapshot_time: Duration,
}

impl Statistics {
    pub(super) fn add_to(&self, stats: &mut Stats) {
        stats.checkpoint_seq = self.checkpoint_seq;
        stats.checkpoints = self.checkpoints;
        stats.checkpoint_time = self.checkpoint_time;
        stats.snapshot_seq = self.snapshot_seq;
        stats.snapshot_bytes = self.snapshot_bytes;
        stats.snapshots = self.snapshots;
        stats.snapshot_time = self.snapshot_time;
    }
}
