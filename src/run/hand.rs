//! The work items that a run has in hand, and which of them changed since they were
//! written: a run may have thousands in hand, and writes those it was on.

use std::collections::BTreeMap;
use std::collections::hash_map::Entry;

use prost_types::Timestamp;
use rustc_hash::FxHashMap;

use super::state::{InHand, ItemId};

#[derive(Default)]
pub(super) struct Hand {
    items: BTreeMap<ItemId, InHand>,
    /// Those of each name: one, or one that ends and one that begins with the same write.
    names: FxHashMap<String, Vec<ItemId>>,
    /// Each once.
    changed: Vec<ItemId>,
    last_id: ItemId,
}

impl Hand {
    pub(super) fn take(&mut self, mut item: InHand) -> ItemId {
        self.last_id += 1;
        item.has_changed = true;
        self.names.entry(item.name.clone()).or_default().push(self.last_id);
        self.items.insert(self.last_id, item);
        self.changed.push(self.last_id);
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
        if !std::mem::replace(&mut item.has_changed, true) {
            self.changed.push(id);
        }
        Some(item)
    }

    pub(super) fn let_go(&mut self, id: ItemId) {
        let Some(item) = self.items.remove(&id) else { return };
        if let Entry::Occupied(mut same) = self.names.entry(item.name) {
            same.get_mut().retain(|of_name| *of_name != id);
            if same.get().is_empty() {
                same.remove();
            }
        }
        self.changed.retain(|changed| *changed != id);
    }

    pub(super) fn let_go_of_all(&mut self) {
        self.items.clear();
        self.names.clear();
        self.changed.clear();
    }

    pub(super) fn ids(&self) -> Vec<ItemId> {
        self.items.keys().copied().collect()
    }

    /// Whether an item of this name is in hand, and does not end with the next write.
    pub(super) fn has(&self, name: &str) -> bool {
        let ids = self.names.get(name).into_iter().flatten();
        ids.filter_map(|id| self.items.get(id)).any(|item| !item.has_ended)
    }

    /// Those that are to be written, each with its version.
    pub(super) fn to_write(&self) -> impl Iterator<Item = (ItemId, &InHand, u64)> {
        self.changed.iter().filter_map(|id| {
            let item = self.items.get(id)?;
            Some((*id, item, item.version_to_replace()?))
        })
    }

    /// Notes when there was progress on those that changed.
    pub(super) fn stamp_changed(&mut self, now: Timestamp) {
        for id in &self.changed {
            if let Some(item) = self.items.get_mut(id) {
                item.status().progress_time = Some(now);
            }
        }
    }

    /// The commit `version` has all that were to be written as they are. Changes of the
    /// others are not stored.
    pub(super) fn written(&mut self, version: u64) {
        for id in self.changed.drain(..) {
            let Some(item) = self.items.get_mut(&id) else { continue };
            item.has_changed = false;
            if item.version_to_replace().is_some() {
                item.version = Some(version);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::List;
    use crate::proto::record::Item;
    use crate::record::Key;

    fn item() -> InHand {
        InHand::new("w", List::Active, Key::item("p", List::Active, "w"), 1, Item::default())
    }

    #[test]
    fn a_name_is_in_hand_as_long_as_an_item_of_it_that_goes_on() {
        let mut hand = Hand::default();
        let first = hand.take(item());
        assert!(hand.has("w") && !hand.has("v"));
        hand.get_mut(first).unwrap().has_ended = true;
        assert!(!hand.has("w"));
        let second = hand.take(item());
        assert!(hand.has("w"));
        hand.let_go(second);
        assert!(!hand.has("w"));
        hand.get_mut(first).unwrap().has_ended = false;
        assert!(hand.has("w"), "its end was taken back");
        hand.let_go(first);
        assert!(!hand.has("w") && hand.names.is_empty());
    }
}
