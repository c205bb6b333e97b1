//! The rule that a work item is on one list only.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};

use crate::model::List;
use crate::record::{Address, Slot};

/// Which list each item was seen on. Knows items by a hash of 64 bits, since there may
/// be millions: that two of a million share one has a chance of 1 in 37 million.
#[derive(Debug, Default)]
pub(super) struct Lists {
    seen: HashMap<u64, (List, u64)>,
    hasher: RandomState,
}

impl Lists {
    /// Notes an item with its version; answers another list that it was seen on, and
    /// keeps the newer version.
    pub(super) fn add(&mut self, address: &Address, version: u64) -> Option<List> {
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

    /// The newest version of an item on any list.
    pub(super) fn newest(&self, address: &Address) -> Option<u64> {
        let Slot::Item(_, work) = &address.slot else { return None };
        self.seen.get(&self.hasher.hash_one((&address.process, work))).map(|(_, version)| *version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(process: &str, list: List, work: &str) -> Address {
        Address { process: process.to_owned(), slot: Slot::Item(list, work.to_owned()) }
    }

    #[test]
    fn an_item_is_on_the_list_with_its_newest_version() {
        let mut lists = Lists::default();
        assert_eq!(lists.add(&item("p", List::Active, "w"), 3), None);
        assert_eq!(lists.add(&item("p", List::Active, "x"), 3), None);
        assert_eq!(lists.add(&item("q", List::Dropped, "w"), 3), None);
        assert_eq!(lists.add(&item("p", List::Cleanup, "w"), 7), Some(List::Active));
        assert_eq!(lists.add(&item("p", List::Dropped, "w"), 5), Some(List::Cleanup));
        assert_eq!(lists.newest(&item("p", List::Active, "w")), Some(7));
        let owner = Address { process: "p".to_owned(), slot: Slot::Owner };
        assert_eq!((lists.add(&owner, 1), lists.newest(&owner)), (None, None));
    }
}
