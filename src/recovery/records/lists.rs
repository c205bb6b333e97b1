//! The rule that a work item is on one list only.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};

use crate::model::List;
use crate::record::{Address, Slot};

/// The list on which each item was seen.
///
/// Items are keyed by a 64-bit hash, since there may be millions: the chance of a collision among a
/// million is 1 in 37 million.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    seen: HashMap<u64, (List, u64)>,
    hasher: RandomState,
}

impl Lists {
    /// Adds an item with its version, keeping the newer version; returns another list that it was
    /// seen on.
    pub(crate) fn add(&mut self, address: &Address, version: u64) -> Option<List> {
        let Slot::Item(list, work) = &address.slot else { return None };
        match self.seen.entry(self.hasher.hash_one((&address.process, work))) {
            Entry::Vacant(entry) => {
                entry.insert((*list, version));
                None
            }
            Entry::Occupied(mut entry) => {
                let (other, newest) = *entry.get();
                if version > newest {
                    entry.insert((*list, version));
                }
                Some(other).filter(|other| other != list)
            }
        }
    }

    /// Reports whether the newest version of an item is on another list.
    pub(crate) fn has_elsewhere(&self, address: &Address) -> bool {
        let Slot::Item(list, work) = &address.slot else { return false };
        let newest = self.seen.get(&self.hasher.hash_one((&address.process, work)));
        newest.is_some_and(|(newest, _)| newest != list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(process: &str, list: List, work: &str) -> Address {
        Address { process: process.to_owned(), slot: Slot::Item(list, work.to_owned()) }
    }

    #[test]
    fn an_item_is_on_the_list_of_its_newest_version() {
        let mut lists = Lists::default();
        assert_eq!(lists.add(&item("p", List::Active, "w"), 3), None);
        assert_eq!(lists.add(&item("p", List::Active, "x"), 3), None);
        assert_eq!(lists.add(&item("q", List::Dropped, "w"), 3), None);
        assert_eq!(lists.add(&item("p", List::Cleanup, "w"), 7), Some(List::Active));
        assert_eq!(lists.add(&item("p", List::Dropped, "w"), 5), Some(List::Cleanup));
        assert!(lists.has_elsewhere(&item("p", List::Active, "w")));
        assert!(!lists.has_elsewhere(&item("p", List::Cleanup, "w")));
        // The first of two equal versions wins.
        assert_eq!(lists.add(&item("p", List::Dropped, "x"), 3), Some(List::Active));
        assert!(lists.has_elsewhere(&item("p", List::Dropped, "x")));
        let owner = Address { process: "p".to_owned(), slot: Slot::Owner };
        assert!(lists.add(&owner, 1).is_none() && !lists.has_elsewhere(&owner));
    }
}
