//! The progress of the latest run of a process.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::error::Result;
use crate::model::response;
use crate::model::{List, item, run};
use crate::proto::record::{Item, ItemHead};
use crate::proto::{State, Status};
use crate::record::{KeyRange, Kind};
use crate::store::ProcessHandle;

/// Counts of the active items of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// The number of items by state, named as in [`WorkResponse`](crate::WorkResponse).
    pub states: BTreeMap<String, u64>,
    /// How many items the current run has still to process; 0 without one. Items registered since
    /// it began, and items that it skips, are left to the next run.
    pub remaining: u64,
}

impl ProcessHandle {
    /// Counts the active items by state.
    ///
    /// Looks at every item, so the cost grows with their number.
    ///
    /// ```
    /// # use procstate::{Params, Store};
    /// # let store = Store::in_memory();
    /// # let keys = store.process("gckeys")?;
    /// keys.register("project-1", Params::new())?;
    /// assert_eq!(keys.counts()?.states["queued"], 1);
    /// # Ok::<(), procstate::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`is_not_found`](crate::Error::is_not_found) if the process is not in the store.
    pub fn counts(&self) -> Result<Counts> {
        self.must_exist()?;
        let status = self.read_status()?;
        let on = status.present().filter(|status| run::is_unfinished(status));
        let mut counts = Counts::default();
        let mut states: BTreeMap<State, u64> = BTreeMap::new();
        self.store.scan(&KeyRange::kind(self.name(), Kind::from(List::Active)), |record| {
            let item = Item::from(ItemHead::from_ref(record)?);
            let is_left = |run| item::is_to_do(&item, run) && item::ended_before(&item, run).is_none();
            counts.remaining += u64::from(on.is_some_and(is_left));
            *states.entry(item::status(&item).map_or(State::Unspecified, Status::state)).or_default() += 1;
            Ok(ControlFlow::Continue(()))
        })?;
        counts.states = states
            .into_iter()
            .map(|(state, count)| (response::active_state(state).to_owned(), count))
            .collect();
        Ok(counts)
    }
}
