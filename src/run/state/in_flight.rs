//! The items in progress of a run, possibly thousands, and which of them changed since the last
//! write.

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
    /// The items in the current write.
    writing: Vec<ItemId>,
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

    pub(crate) fn remove(&mut self, id: ItemId) {
        if let Some(item) = self.items.remove(&id)
            && !item.has_ended
        {
            self.names.remove(&item.name);
        }
        self.changed.retain(|changed| *changed != id);
        self.writing.retain(|writing| *writing != id);
    }

    pub(crate) fn clear(&mut self) {
        self.items.clear();
        self.names.clear();
        self.changed.clear();
        self.writing.clear();
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

    /// Starts a write of all items to write.
    pub(crate) fn begin_write(&mut self) {
        std::mem::swap(&mut self.changed, &mut self.writing);
        unmark(&mut self.items, &self.writing);
    }

    /// Records that the write failed: its items are to be written again, before those that changed
    /// in the meantime.
    pub(crate) fn not_written(&mut self) {
        let meanwhile = std::mem::take(&mut self.changed);
        unmark(&mut self.items, &meanwhile);
        for id in self.writing.drain(..).chain(meanwhile) {
            if let Some(item) = self.items.get_mut(&id)
                && !std::mem::replace(&mut item.has_changed, true)
            {
                self.changed.push(id);
            }
        }
    }

    /// Records that the commit `version` stored all items in the write.
    ///
    /// Changes of others are not stored.
    pub(crate) fn written(&mut self, version: u64) {
        for id in self.writing.drain(..) {
            let Some(item) = self.items.get_mut(&id) else { continue };
            if item.version_to_replace().is_some() {
                item.version = Some(version);
                item.as_of = version;
            }
        }
    }
}

/// Marks items as unchanged.
fn unmark(items: &mut BTreeMap<ItemId, ItemInFlight>, ids: &[ItemId]) {
    for id in ids {
        if let Some(item) = items.get_mut(id) {
            item.has_changed = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::List;
    use crate::proto::record::Item;
    use crate::record::Key;

    fn ids(in_flight: &InFlight) -> Vec<ItemId> {
        in_flight.to_write().map(|(id, ..)| id).collect()
    }

    #[test]
    fn changes_during_a_write_go_into_the_next_one() {
        let mut in_flight = InFlight::default();
        let item = |name: &str| {
            ItemInFlight::new(name.into(), List::Active, Key::owner(name), (1, 0), Item::default())
        };
        let [a, b, c] = ["a", "b", "c"].map(|name| in_flight.take(item(name)));
        in_flight.begin_write();
        let _ = (in_flight.change(c).is_some(), in_flight.change(c).is_some());
        in_flight.written(2);
        assert_eq!(ids(&in_flight), [c]);
        let _ = in_flight.change(a).is_some();
        in_flight.begin_write();
        assert!(ids(&in_flight).is_empty());
        let _ = (in_flight.change(b).is_some(), in_flight.change(a).is_some());
        // The items of the write come first, in order: the index of a failed precondition is
        // that of one of them.
        in_flight.not_written();
        assert_eq!(ids(&in_flight), [c, a, b]);
        in_flight.begin_write();
        in_flight.remove(a);
        in_flight.not_written();
        assert_eq!(ids(&in_flight), [c, b]);
        assert!(in_flight.to_write().all(|(.., version)| version == 2));
    }
}
