//! The work items that a run has in hand, and which of them changed since they were
//! written: a run may have thousands in hand, and writes those it was on.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost_types::Timestamp;
use rustc_hash::FxHashSet;

use super::item_in_flight::{ItemId, ItemInFlight};
use crate::proto::State;

#[derive(Default)]
pub(crate) struct InFlight {
    items: BTreeMap<ItemId, ItemInFlight>,
    /// The names of those that do not end with the next write.
    names: FxHashSet<Arc<str>>,
    /// Each once.
    changed: Vec<ItemId>,
    last_id: ItemId,
}

impl InFlight {
    pub(crate) fn take(&mut self, mut item: ItemInFlight) -> ItemId {
        self.last_id += 1;
        item.has_changed = true;
        self.names.insert(item.name.clone());
        self.items.insert(self.last_id, item);
        self.changed.push(self.last_id);
        self.last_id
    }

    pub(crate) fn get(&self, id: ItemId) -> Option<&ItemInFlight> {
        self.items.get(&id)
    }

    /// An item of which nothing changes that is stored.
    pub(crate) fn get_mut(&mut self, id: ItemId) -> Option<&mut ItemInFlight> {
        self.items.get_mut(&id)
    }

    /// An item that changes, and is written next time.
    pub(crate) fn change(&mut self, id: ItemId) -> Option<&mut ItemInFlight> {
        let item = self.items.get_mut(&id)?;
        if !std::mem::replace(&mut item.has_changed, true) {
            self.changed.push(id);
        }
        Some(item)
    }

    pub(crate) fn let_go(&mut self, id: ItemId) {
        if let Some(item) = self.items.remove(&id)
            && !item.has_ended
        {
            self.names.remove(&item.name);
        }
        self.changed.retain(|changed| *changed != id);
    }

    pub(crate) fn let_go_of_all(&mut self) {
        self.items.clear();
        self.names.clear();
        self.changed.clear();
    }

    pub(crate) fn ids(&self) -> Vec<ItemId> {
        self.items.keys().copied().collect()
    }

    /// Whether an item of this name is in hand, and does not end with the next write.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Ends an item, which goes to the store with the next write.
    pub(crate) fn end(&mut self, id: ItemId, end: State, now: jiff::Timestamp) {
        if let Some(item) = self.items.get_mut(&id) {
            item.end(end, now);
            self.names.remove(&item.name);
        }
    }

    /// Undoes [`end`](InFlight::end).
    pub(crate) fn reopen(&mut self, id: ItemId) {
        if let Some(item) = self.items.get_mut(&id) {
            item.reopen();
            self.names.insert(item.name.clone());
        }
    }

    /// Those that are to be written, each with its version.
    pub(crate) fn to_write(&self) -> impl Iterator<Item = (ItemId, &ItemInFlight, u64)> {
        self.changed.iter().filter_map(|id| {
            let item = self.items.get(id)?;
            Some((*id, item, item.version_to_replace()?))
        })
    }

    /// Notes when there was progress on those that changed.
    pub(crate) fn stamp_changed(&mut self, now: Timestamp) {
        for id in &self.changed {
            if let Some(item) = self.items.get_mut(id) {
                item.status().progress_time = Some(now);
            }
        }
    }

    /// The commit `version` has all that were to be written as they are. Changes of the
    /// others are not stored.
    pub(crate) fn written(&mut self, version: u64) {
        for id in self.changed.drain(..) {
            let Some(item) = self.items.get_mut(&id) else { continue };
            item.has_changed = false;
            if item.version_to_replace().is_some() {
                item.version = Some(version);
            }
        }
    }
}
