//! What a log changes: the newest version of each record, over what there was
//! before.

use std::collections::BTreeMap;
use std::collections::btree_map::IntoIter;
use std::iter::Peekable;

use bytes::Bytes;

use crate::engine::wal::Entry;
use crate::error::Result;
use crate::record;

/// The newest version of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Newest {
    pub(super) version: u64,
    /// Its envelope; `None` if it was deleted.
    pub(super) value: Option<Bytes>,
}

/// Of each record that changed, what it is now.
#[derive(Debug, Clone, Default)]
pub(super) struct Changes {
    records: BTreeMap<Bytes, Newest>,
}

impl Changes {
    /// Adds what the commit `seq` wrote.
    pub(super) fn add(&mut self, seq: u64, entry: Entry) {
        for write in entry.writes {
            let value = write.payload.map(|payload| record::seal(&write.key, seq, &payload));
            self.put(write.key.bytes().clone(), Newest { version: seq, value });
        }
    }

    /// Adds a version of a record, unless a newer one is known.
    pub(super) fn put(&mut self, key: Bytes, newest: Newest) {
        match self.records.get(&key) {
            Some(known) if known.version > newest.version => {}
            _ => drop(self.records.insert(key, newest)),
        }
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&Newest> {
        self.records.get(key)
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// The records of `base`, which ascend, with these changes.
    pub(super) fn over<B: Iterator<Item = Result<(Bytes, Bytes)>>>(self, base: B) -> Merged<B> {
        Merged { base: base.peekable(), changes: self.records.into_iter().peekable() }
    }
}

/// Keys and values in order.
pub(super) struct Merged<B: Iterator<Item = Result<(Bytes, Bytes)>>> {
    base: Peekable<B>,
    changes: Peekable<IntoIter<Bytes, Newest>>,
}

impl<B: Iterator<Item = Result<(Bytes, Bytes)>>> Iterator for Merged<B> {
    type Item = Result<(Bytes, Bytes)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let next_change = self.changes.peek().map(|(key, _)| key);
            let is_base = match (self.base.peek(), next_change) {
                (None, None) => return None,
                (Some(Err(_)), _) | (Some(_), None) => true,
                (None, Some(_)) => false,
                (Some(Ok((base, _))), Some(changed)) => base < changed,
            };
            if is_base {
                return self.base.next();
            }
            let (key, newest) = self.changes.next()?;
            // The version before.
            let _ = self.base.next_if(|record| record.as_ref().is_ok_and(|(base, _)| *base == key));
            if let Some(value) = newest.value {
                return Some(Ok((key, value)));
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

    /// Capital letters are changed, a hyphen before one deletes it.
    fn merged(keys: &str, changed: &str, deleted: &str) -> String {
        let mut changes = Changes::default();
        let mut put = |key: u8, value: Option<Bytes>| {
            changes.put(Bytes::copy_from_slice(&[key]), Newest { version: 1, value });
        };
        changed.bytes().for_each(|key| put(key, Some(Bytes::from_static(b"+"))));
        deleted.bytes().for_each(|key| put(key, None));
        let text = |record: Result<(Bytes, Bytes)>| {
            let (key, value) = record.unwrap();
            String::from_utf8([key, value].concat()).unwrap()
        };
        changes.over(base(keys)).map(text).collect()
    }

    #[test]
    fn changes_stand_over_what_there_was() {
        assert_eq!(merged("ace", "", ""), "a-c-e-");
        assert_eq!(merged("ace", "bcf", ""), "a-b+c+e-f+");
        assert_eq!(merged("ace", "a", "cez"), "a+");
        assert_eq!(merged("", "b", "a"), "b+");
    }

    #[test]
    fn the_newest_version_wins_whenever_it_comes() {
        let mut changes = Changes::default();
        let key = Bytes::from_static(b"k");
        for version in [2, 5, 3] {
            changes.put(key.clone(), Newest { version, value: None });
        }
        assert_eq!(changes.get(&key).unwrap().version, 5);
        assert_eq!(changes.len(), 1);
    }
}
