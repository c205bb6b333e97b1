//! Coalesces progress where commits have the latency of a network: of the reports within an
//! interval, only the newest is written.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::fenced::FencedRun;
use super::progress::Progress;
use super::state::State;
use crate::engine::Durability;
use crate::model::time;

impl FencedRun {
    /// Registers progress to be written within the interval; `None` if it must be written now.
    pub(super) fn defer(self: &Arc<Self>, state: &mut State) -> Option<Progress> {
        if self.options.durability != Durability::Buffered || state.begins_no_more() {
            return None;
        }
        let interval = self.handle.store.inner.engine.coalesces()?;
        let left = interval.checked_sub(state.deferred.written.elapsed()).filter(|left| !left.is_zero())?;
        if !state.deferred.has_writer {
            self.spawn_writer(left)?;
            state.deferred.has_writer = true;
        }
        state.deferred.is_pending = true;
        let merged = std::mem::take(&mut state.deferred.has_merged);
        Some(if merged { Progress::Merged } else { Progress::Updated })
    }

    /// Starts the writer thread; at most one per run, since a run has one write in progress.
    fn spawn_writer(self: &Arc<Self>, left: Duration) -> Option<()> {
        let core = Arc::downgrade(self);
        let write = move || {
            thread::sleep(left);
            if let Some(core) = core.upgrade() {
                core.write_deferred();
            }
        };
        thread::Builder::new().name("procstate-progress".to_owned()).spawn(write).ok().map(drop)
    }

    fn write_deferred(&self) {
        let mut state = self.lock_to_write();
        state.deferred.has_writer = false;
        if !state.deferred.is_pending || state.is_closed() {
            return;
        }
        let now = time::to_wire(self.now(&mut state));
        state.status().progress_time = Some(now);
        state.in_flight.stamp_changed(now);
        match self.write(&mut state, self.options.durability, &mut |batch| Ok(batch)) {
            Ok(merged) => state.deferred.has_merged |= merged,
            // The next call finds that the run is lost.
            Err(error) if error.is_conflict() => {}
            Err(error) => drop(state.pending.get_or_insert(error)),
        }
    }
}
