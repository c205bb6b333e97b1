//! Keys in order, found by the few bytes that tell them apart. These lie side by side, so that
//! a search hardly looks at the keys themselves, which lie all over the memory.

use std::cmp::Ordering;
use std::ops::Range;

use crate::record::Key;

/// The keys of a node. Those of one process begin alike.
#[derive(Debug, Clone, Default)]
pub(super) struct SortedKeys {
    keys: Vec<Key>,
    /// So many bytes at the beginning are the same in all of them.
    shared: usize,
    /// Of each key the bytes behind those.
    heads: Vec<Head>,
}

/// Eight bytes in the order of keys; zeroes where a key has ended.
type Head = u64;

fn head(rest: &[u8]) -> Head {
    if let Some(bytes) = rest.first_chunk() {
        return Head::from_be_bytes(*bytes);
    }
    let mut bytes = [0; size_of::<Head>()];
    bytes.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    Head::from_be_bytes(bytes)
}

fn head_behind(shared: usize, key: &Key) -> Head {
    head(key.bytes().get(shared..).unwrap_or_default())
}

fn shared_by(a: &Key, b: &Key) -> usize {
    a.bytes().iter().zip(b.bytes()).take_while(|(a, b)| a == b).count()
}

impl SortedKeys {
    fn new(keys: Vec<Key>) -> Self {
        let ends = keys.first().zip(keys.last());
        let shared = ends.map_or(0, |(first, last)| shared_by(first, last));
        let heads = keys.iter().map(|key| head_behind(shared, key)).collect();
        Self { keys, shared, heads }
    }

    pub(super) fn first(&self) -> Option<&Key> {
        self.keys.first()
    }

    pub(super) fn from(&self, at: usize) -> &[Key] {
        self.keys.get(at..).unwrap_or_default()
    }

    /// The place of a key, or where it would be.
    pub(super) fn find(&self, key: &[u8]) -> Result<usize, usize> {
        let alike = self.alike(key);
        let keys = self.keys.get(alike.clone()).unwrap_or_default();
        let found = keys.binary_search_by(|other| other.bytes()[..].cmp(key));
        found.map(|at| alike.start + at).map_err(|at| alike.start + at)
    }

    /// How many are not above `key`.
    pub(super) fn count_up_to(&self, key: &[u8]) -> usize {
        self.find(key).map_or_else(|at| at, |at| at + 1)
    }

    /// Those that may be `key`; if there are none, their place.
    fn alike(&self, key: &[u8]) -> Range<usize> {
        let shared = self.keys.first().and_then(|first| first.bytes().get(..self.shared));
        let (begin, rest) = key.split_at_checked(self.shared).unwrap_or((key, &[]));
        match begin.cmp(shared.unwrap_or_default()) {
            Ordering::Less => 0..0,
            Ordering::Greater => self.keys.len()..self.keys.len(),
            Ordering::Equal => {
                let head = head(rest);
                let start = self.heads.partition_point(|other| *other < head);
                let heads = self.heads.get(start..).unwrap_or_default();
                start..start + heads.iter().take_while(|other| **other == head).count()
            }
        }
    }

    /// Inserts a key at its place.
    pub(super) fn insert(&mut self, at: usize, key: Key) {
        let shared = self.keys.first().map_or(key.bytes().len(), |first| shared_by(first, &key));
        if self.keys.is_empty() {
            self.shared = shared;
        } else if shared < self.shared {
            self.shared = shared;
            self.heads = self.keys.iter().map(|key| head_behind(shared, key)).collect();
        }
        self.heads.insert(at, head_behind(self.shared, &key));
        self.keys.insert(at, key);
    }

    /// Takes away the keys from `at` on.
    pub(super) fn split_off(&mut self, at: usize) -> Self {
        let right = self.keys.split_off(at);
        *self = Self::new(std::mem::take(&mut self.keys));
        Self::new(right)
    }

    /// Takes the last key away.
    pub(super) fn pop(&mut self) -> Option<Key> {
        self.heads.pop();
        self.keys.pop()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::List;

    fn key(name: &str) -> Key {
        Key::item("p", List::Active, name)
    }

    fn sorted<'a>(names: impl IntoIterator<Item = &'a str>) -> SortedKeys {
        let mut keys = SortedKeys::default();
        for key in names.into_iter().map(key) {
            if let Err(at) = keys.find(key.bytes()) {
                keys.insert(at, key);
            }
        }
        keys
    }

    proptest! {
        /// Also of names that begin with one another, and with more than a head.
        #[test]
        fn finds_as_the_keys_themselves_say(names in proptest::collection::vec("[ab\u{0}]{1,20}|aaaaaaaaaaaa[ab]{1,9}|[a-z]{1,3}", 0..40), asked in "[ab\u{0}]{1,20}|aaaaaaaaaaaa[ab]{1,9}|[a-z]{1,3}", at in 0..40_usize) {
            let mut keys = sorted(names.iter().map(String::as_str));
            let mut model: Vec<Key> = names.iter().map(|name| key(name)).collect();
            model.sort();
            model.dedup();
            prop_assert_eq!(keys.from(0), &model[..]);
            let asked = [key(&asked), Key::owner("p"), Key::item("o", List::Active, "a"), Key::item("q", List::Active, "a")];
            let agree = |keys: &SortedKeys, model: &[Key]| {
                model.iter().chain(&asked).all(|key| keys.find(key.bytes()) == model.binary_search(key))
            };
            prop_assert!(agree(&keys, &model));
            let right = keys.split_off(at.min(model.len()));
            let above = model.split_off(at.min(model.len()));
            prop_assert!(agree(&keys, &model) && agree(&right, &above));
            prop_assert_eq!(keys.pop(), model.pop());
            prop_assert!(agree(&keys, &model));
        }
    }

    #[test]
    fn what_is_shared_is_passed_over() {
        let keys = sorted(["item-00000001", "item-00000002", "item-00000010"]);
        assert!(keys.heads.is_sorted_by(|a, b| a < b), "each has another head");
        let keys = sorted(["a", "item-00000001", "item-00000002"]);
        assert_eq!(keys.find(key("item-00000002").bytes()), Ok(2));
    }
}
