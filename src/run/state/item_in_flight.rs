//! A work item in progress.

use std::sync::Arc;

use jiff::Timestamp;

use crate::engine::Batch;
use crate::model::{List, item, time};
use crate::proto::record::Item;
use crate::proto::{State as RunState, Status};
use crate::record::{Key, Payload};
use crate::store::ProcessHandle;

/// Identifies an item in progress.
pub(crate) type ItemId = u64;

/// A work item in progress.
pub(crate) struct ItemInFlight {
    pub(crate) name: Arc<str>,
    pub(crate) list: List,
    pub(crate) key: Key,
    /// The version of its record; `None` once the run must not write it any more.
    pub(crate) version: Option<u64>,
    /// A commit as of which this is the newest version; 0 if unknown.
    pub(crate) as_of: u64,
    /// The item; for a cleanup item only the status matters, and is not stored.
    pub(crate) item: Item,
    /// Whether it changed since the last write.
    pub(crate) has_changed: bool,
    /// Whether the current attempt had an error.
    pub(crate) has_failed: bool,
    pub(crate) drop_when_done: bool,
    /// Whether its end is to be written.
    pub(crate) has_ended: bool,
    /// When it moves to the dropped list, if its end does so.
    pub(crate) leaves: Option<Timestamp>,
}

impl ItemInFlight {
    /// Creates the item of a record with this version as of the commit `as_of`.
    pub(crate) fn new(
        name: Arc<str>,
        list: List,
        key: Key,
        (version, as_of): (u64, u64),
        item: Item,
    ) -> Self {
        Self {
            name,
            list,
            key,
            version: Some(version),
            as_of,
            item,
            has_changed: false,
            has_failed: false,
            drop_when_done: false,
            has_ended: false,
            leaves: None,
        }
    }

    /// Ends it, which the next write stores.
    pub(crate) fn end(&mut self, end: RunState, now: Timestamp) {
        item::finish(&mut self.item, end, now);
        let is_done_for_good = self.list == List::Cleanup || self.drop_when_done;
        self.leaves = (is_done_for_good && end == RunState::Completed).then_some(now);
        self.has_ended = true;
    }

    /// Undoes [`end`](ItemInFlight::end).
    pub(crate) fn reopen(&mut self) {
        item::reopen(&mut self.item);
        self.leaves = None;
        self.has_ended = false;
    }

    /// Takes over the result of a merge.
    ///
    /// With other parameters the item is not to be dropped, since no attempt has used them.
    pub(crate) fn take_in(&mut self, merged: Item) {
        if item::params(&merged) != item::params(&self.item) {
            self.drop_when_done = false;
            self.leaves = None;
        }
        self.item = merged;
    }

    /// Returns the version of its record, if the run may write it.
    ///
    /// Only active work has a stored status.
    pub(crate) fn version_to_replace(&self) -> Option<u64> {
        self.version.filter(|_| self.list == List::Active || self.leaves.is_some())
    }

    pub(crate) fn write_to(&self, batch: Batch, handle: &ProcessHandle) -> Batch {
        match self.leaves {
            None => batch.put(self.key.clone(), self.item.to_payload()),
            Some(now) => batch
                .delete(self.key.clone())
                .put(handle.item_key(List::Dropped, &self.name), time::to_wire(now).to_payload()),
        }
    }

    pub(crate) fn status(&mut self) -> &mut Status {
        self.item.work.get_or_insert_default().status.get_or_insert_default()
    }
}
