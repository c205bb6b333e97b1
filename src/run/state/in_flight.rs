//! The items in progress of a run, possibly thousands, and which of them changed since the last
//! write.

use std::collections::BTreeMap;

use prost_types::Timestamp;
use rustc_hash::FxHashSet;

use super::item_in_flight::{ItemId, ItemInFlight};
use crate::proto::State;

#[derive(Default)]
pub(crate) struct InFlight {
    items: BTreeMap<ItemId, ItemInFlight>,
    /// The names of those that do not end with the next write.
    names: FxHashSet<String>,
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

    /// Returns an item for changes that are not stored.
    pub(crate) fn get_mut(&mut self, id: ItemId) -> Option<&mut ItemInFlight> {
        self.items.get_mut(&id)
    }

    /// Returns an item for changes, which the next write stores.
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

    /// Reports whether an item of this name is in progress and does not end with the next write.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Ends an item, which the next write stores.
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

    /// Returns the items to write, each with its version.
    pub(crate) fn to_write(&self) -> impl Iterator<Item = (ItemId, &ItemInFlight, u64)> {
        self.changed.iter().filter_map(|id| {
            let item = self.items.get(id)?;
            Some((*id, item, item.version_to_replace()?))
        })
    }

    /// Sets the progress time of changed items.
    pub(crate) fn stamp_changed(&mut self, now: Timestamp) {
        for id in &self.changed {
            if let Some(item) = self.items.get_mut(id) {
                item.status().progress_time = Some(now);
            }
        }
    }

    /// Records that the commit `version` stored all items to write.
    ///
    /// Changes of others are not stored.
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
