//! The changes of a log: the newest version of each record, on top of a base.

use std::collections::BTreeMap;
use std::collections::btree_map::Iter;
use std::iter::Peekable;

use bytes::Bytes;

use crate::engine::wal::Logged;
use crate::error::Result;
use crate::record;

/// The origin of a record version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A base with everything up to some commit.
    Base,
    /// In the log.
    Log,
    /// A snapshot that is partly damaged.
    Archive,
    /// Carved from anywhere.
    Carved,
}

/// The newest version of a record: its envelope, or the part of it that is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Newest<V = Bytes> {
    pub(crate) version: u64,
    /// `None` if it was deleted.
    pub(crate) value: Option<V>,
    pub(crate) origin: Origin,
}

/// The newest version of each changed record.
#[derive(Debug, Clone)]
pub(crate) struct Changes<V = Bytes> {
    records: BTreeMap<Bytes, Newest<V>>,
}

impl<V> Default for Changes<V> {
    fn default() -> Self {
        Self { records: BTreeMap::new() }
    }
}

impl<V: From<Bytes> + Clone> Changes<V> {
    /// Adds the writes of the commit `seq`.
    pub(crate) fn add(&mut self, seq: u64, writes: impl IntoIterator<Item = Logged>) {
        for write in writes {
            let value = write.payload.map(|payload| record::seal(&write.key, seq, &payload).into());
            self.put(write.key.bytes().clone(), Newest { version: seq, value, origin: Origin::Log });
        }
    }

    /// Adds a version of a record, unless a newer or equal one is known.
    ///
    /// Within one commit of the log the last write wins.
    pub(crate) fn put(&mut self, key: Bytes, newest: Newest<V>) {
        match self.records.get(&key) {
            Some(known) if known.version > newest.version => {}
            Some(known) if known.version == newest.version && newest.origin != Origin::Log => {}
            _ => drop(self.records.insert(key, newest)),
        }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&Newest<V>> {
        self.records.get(key)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &Bytes> {
        self.records.keys()
    }

    /// Merges these changes over the sorted records of `base`.
    pub(crate) fn over<B: Iterator<Item = Result<(Bytes, V)>>>(&self, base: B) -> Merged<'_, V, B> {
        Merged { base: base.peekable(), changes: self.records.iter().peekable() }
    }
}

/// A record after all changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Current<V = Bytes> {
    pub(crate) key: Bytes,
    pub(crate) value: V,
    pub(crate) origin: Origin,
}

impl<V> From<Current<V>> for (Bytes, V) {
    fn from(current: Current<V>) -> Self {
        (current.key, current.value)
    }
}

/// Records in key order.
pub(crate) struct Merged<'a, V, B: Iterator<Item = Result<(Bytes, V)>>> {
    base: Peekable<B>,
    changes: Peekable<Iter<'a, Bytes, Newest<V>>>,
}

impl<V: Clone, B: Iterator<Item = Result<(Bytes, V)>>> Iterator for Merged<'_, V, B> {
    type Item = Result<Current<V>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let is_base = match (self.base.peek(), self.changes.peek()) {
                (None, None) => return None,
                (Some(Err(_)), _) | (Some(_), None) => true,
                (None, Some(_)) => false,
                (Some(Ok((base, _))), Some((changed, _))) => base < *changed,
            };
            if is_base {
                let current = |(key, value)| Current { key, value, origin: Origin::Base };
                return self.base.next().map(|record| record.map(current));
            }
            let (key, newest) = self.changes.next()?;
            // Skips the previous version.
            let _ = self.base.next_if(|record| record.as_ref().is_ok_and(|(base, _)| base == key));
            if let Some(value) = newest.value.clone() {
                return Some(Ok(Current { key: key.clone(), value, origin: newest.origin }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(keys: &str) -> impl Iterator<Item = Result<(Bytes, Bytes)>> + '_ {
        keys.bytes().map(|key| Ok((Bytes::copy_from_slice(&[key]), Bytes::from_static(b"-"))))
    }

    /// Capital letters are changes; a hyphen before a letter deletes it.
    fn merged(keys: &str, changed: &str, deleted: &str) -> String {
        let mut changes = Changes::<Bytes>::default();
        let mut put = |key: u8, value: Option<Bytes>| {
            let newest = Newest { version: 1, value, origin: Origin::Log };
            changes.put(Bytes::copy_from_slice(&[key]), newest);
        };
        changed.bytes().for_each(|key| put(key, Some(Bytes::from_static(b"+"))));
        deleted.bytes().for_each(|key| put(key, None));
        let text = |record: Result<Current>| {
            let Current { key, value, .. } = record.unwrap();
            String::from_utf8([key, value].concat()).unwrap()
        };
        changes.over(base(keys)).map(text).collect()
    }

    #[test]
    fn changes_replace_the_base() {
        assert_eq!(merged("ace", "", ""), "a-c-e-");
        assert_eq!(merged("ace", "bcf", ""), "a-b+c+e-f+");
        assert_eq!(merged("ace", "a", "cez"), "a+");
        assert_eq!(merged("", "b", "a"), "b+");
    }

    #[test]
    fn the_newest_version_wins_in_any_order() {
        let mut changes = Changes::<Bytes>::default();
        let key = Bytes::from_static(b"k");
        for version in [2, 5, 3] {
            changes.put(key.clone(), Newest { version, value: None, origin: Origin::Log });
        }
        assert_eq!(changes.get(&key).unwrap().version, 5);
        assert_eq!(changes.keys().count(), 1);
    }
}
