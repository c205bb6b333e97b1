//! The work items that a run has in hand, and which of them changed since they were
//! written: a run may have thousands in hand, and writes those it was on.

use std::collections::{BTreeMap, BTreeSet};

use prost_types::Timestamp;

use super::state::{InHand, ItemId};

#[derive(Default)]
pub(super) struct Hand {
    items: BTreeMap<ItemId, InHand>,
    changed: BTreeSet<ItemId>,
    last_id: ItemId,
}

impl Hand {
    pub(super) fn take(&mut self, item: InHand) -> ItemId {
        self.last_id += 1;
        self.items.insert(self.last_id, item);
        self.changed.insert(self.last_id);
        self.last_id
    }

    pub(super) fn get(&self, id: ItemId) -> Option<&InHand> {
        self.items.get(&id)
    }

    /// An item of which nothing changes that is stored.
    pub(super) fn get_mut(&mut self, id: ItemId) -> Option<&mut InHand> {
        self.items.get_mut(&id)
    }

    /// An item that changes, and is written next time.
    pub(super) fn change(&mut self, id: ItemId) -> Option<&mut InHand> {
        let item = self.items.get_mut(&id)?;
        self.changed.insert(id);
        Some(item)
    }

    pub(super) fn let_go(&mut self, id: ItemId) {
        self.items.remove(&id);
        self.changed.remove(&id);
    }

    pub(super) fn let_go_of_all(&mut self) {
        self.items.clear();
        self.changed.clear();
    }

    pub(super) fn ids(&self) -> Vec<ItemId> {
        self.items.keys().copied().collect()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.items.values().any(|item| item.name == name)
    }

    pub(super) fn changed(&self) -> impl Iterator<Item = (ItemId, &InHand)> {
        self.changed.iter().filter_map(|id| Some((*id, self.items.get(id)?)))
    }

    /// Notes when there was progress on those that changed.
    pub(super) fn stamp_changed(&mut self, now: Timestamp) {
        for id in &self.changed {
            if let Some(item) = self.items.get_mut(id) {
                item.status().progress_time = Some(now);
            }
        }
    }

    /// The commit `version` has these as they are.
    pub(super) fn written(&mut self, version: u64, ids: &[ItemId]) {
        for id in ids {
            self.changed.remove(id);
            if let Some(item) = self.items.get_mut(id) {
                item.version = Some(version);
            }
        }
    }
}
