//! Ends a run: finishes it, hands it back, or leaves it to another instance.

use super::fenced::FencedRun;
use super::state::State;
use super::writing::Writing;
use crate::engine::Durability;
use crate::error::Result;
use crate::model::{run, stats};
use crate::proto::record::{Owner, Totals};
use crate::proto::{State as RunState, Status};
use crate::record::{Key, Payload};
use crate::store::Versioned;

impl FencedRun {
    /// Finishes the run.
    ///
    /// If that cannot be written, the run stays unfinished.
    pub(super) fn finish(&self, durability: Durability) -> Result<Status> {
        let mut state = self.lock_to_write();
        state.keep();
        self.check(&mut state)?;
        let now = self.now(&mut state);
        state.abandon_items(now);
        let end = if state.begins_no_more() { RunState::Aborted } else { run::final_state(&state.run) };
        run::finish(state.status(), end, now);
        let written = self.write_finish(&mut state, durability);
        self.end(&mut state);
        written
    }

    fn write_finish(&self, state: &mut Writing<'_>, durability: Durability) -> Result<Status> {
        let run = state.run.clone();
        let status = run.status.clone().unwrap_or_default();
        self.write(state, durability, &mut |batch| {
            let key = Key::totals(self.handle.name());
            let mut totals: Versioned<Totals> = self.handle.store.read(&key)?;
            let batch = batch.expect(key.clone(), totals.unchanged());
            let left_out = stats::add_to_totals(&mut totals.value.aggregate_stats, &status.stats);
            if left_out > 0 {
                let process = self.handle.name();
                tracing::warn!(process, left_out, "the totals are full; new labels were left out");
            }
            self.handle.put_history(batch.put(key, totals.value.to_payload()), &self.instance, &run)
        })?;
        Ok(status)
    }

    /// Releases the process with the run unfinished, for the next instance to resume at once.
    pub(super) fn hand_back(&self, durability: Durability) -> Result<()> {
        let mut state = self.lock_to_write();
        state.keep();
        self.check_open(&state)?;
        // Still recorded as the last owner, but dead from now on.
        let owner: Versioned<Owner> = self.handle.read_owner()?;
        let gone = gone(owner.value);
        self.write(&mut state, durability, &mut |batch| {
            Ok(batch.put(self.owner_key.clone(), gone.to_payload()))
        })?;
        self.end(&mut state);
        // The run is handed back anyway, and repeats that item.
        state.pending.take().map_or(Ok(()), Err)
    }

    fn end(&self, state: &mut State) {
        state.end();
        self.handle.store.inner.liveness.end(self.pulse.claim);
    }

    /// Stops writing, and leaves the run unfinished for the next owner.
    pub(super) fn leave(&self) {
        self.end(&mut self.lock());
    }

    /// Finishes a run whose handle is gone, as far as possible.
    pub(super) fn end_dropped(&self) {
        if self.lock().is_closed() {
            return;
        }
        let why = if std::thread::panicking() {
            "the worker panicked"
        } else {
            "the run was dropped before it finished"
        };
        self.lock().pending = None;
        self.abort(why);
        if let Err(error) = self.finish(Durability::Synced) {
            tracing::warn!(process = self.handle.name(), %error, "a dropped run could not be finished");
        }
        // Otherwise dropping an item in progress would store it as completed.
        self.leave();
    }
}

/// Returns the owner record of a process that was handed back, which counts as dead.
pub(super) fn gone(owner: Owner) -> Owner {
    let nobody = Owner { process_name: owner.process_name, ..Owner::default() };
    Owner { instance: owner.instance, claimed: owner.claimed, ..nobody }
}
