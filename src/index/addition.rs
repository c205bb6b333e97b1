//! Adds records to an empty range of the index.
//!
//! A transaction reads every record that it replaces, which is a third of the cost of a write. An
//! empty range, such as that of a new process, has nothing to replace: its records go into a sled
//! batch, which is as atomic as a transaction.

use sled::{Batch, IVec};

use super::Index;
use super::chunks::{self, Set};
use super::contents::{self, Contents};
use super::guard::Fault;
use super::key::record_key;
use crate::error::Result;
use crate::record::Position;

/// Records to be added to an empty range.
///
/// The index must not change otherwise meanwhile.
#[derive(Debug)]
pub(crate) struct Addition<'a> {
    index: &'a Index,
    batch: Batch,
    before: Contents,
    contents: Contents,
}

impl Index {
    /// Starts an addition of records from `first` up to and including `last`; `None` if the range
    /// is not empty.
    pub(crate) fn add_between(&self, first: &[u8], last: &[u8]) -> Result<Option<Addition<'_>>> {
        if !self.is_vacant(first, last)? {
            return Ok(None);
        }
        let before = self.contents()?.unwrap_or_default();
        Ok(Some(Addition { index: self, batch: Batch::default(), before, contents: before }))
    }

    fn is_vacant(&self, first: &[u8], last: &[u8]) -> Result<bool> {
        self.guarded("read records", || {
            let found = self.db.range(record_key(first)..=record_key(last)).next();
            Ok(found.transpose()?.is_none())
        })
    }
}

impl Addition<'_> {
    /// Returns the last commit that the index includes.
    pub(crate) fn seq(&self) -> u64 {
        self.before.seq
    }

    /// Adds a record.
    ///
    /// Keys must be unique.
    pub(crate) fn put(&mut self, key: &[u8], value: &[u8]) {
        let head = if chunks::is_large(key, value) { self.split(value) } else { chunks::whole(value) };
        self.batch.insert(record_key(key), IVec::from(head));
        self.contents.add(key, value);
    }

    /// Adds the parts of a large value, and returns its head.
    fn split(&mut self, value: &[u8]) -> Vec<u8> {
        self.contents.last_set += 1;
        let set = Set::new(self.contents.last_set, value);
        for (key, chunk) in set.entries(value) {
            self.batch.insert(key, chunk);
        }
        set.head()
    }

    /// Writes everything or nothing.
    ///
    /// If `to` is given, the index then includes all commits up to it.
    pub(crate) fn commit(self, to: Option<Position>) -> Result<()> {
        let Self { index, mut batch, before, mut contents } = self;
        if let Some(to) = to {
            contents.set_position(to);
        }
        if contents == before {
            return Ok(());
        }
        batch.insert(contents::KEY, contents.of(index.store).encode());
        index.guarded("commit", || index.db.apply_batch(batch).map_err(Fault::from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::Options;

    static LARGE: [u8; 20_000] = [7; 20_000];

    fn open(folder: &tempfile::TempDir) -> Index {
        Index::open(&folder.path().join("index"), &Options::default()).unwrap()
    }

    fn add(index: &Index, keys: [&[u8]; 2], seq: u64) {
        let mut addition = index.add_between(keys[0], keys[1]).unwrap().unwrap();
        addition.put(keys[0], b"small");
        addition.put(keys[1], &LARGE);
        addition.commit(Some(Position::new(seq, None))).unwrap();
    }

    #[test]
    fn has_the_same_result_as_transactions() {
        let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let [added, put] = [&folders[0], &folders[1]].map(open);
        for (keys, seq) in [([b"b" as &[u8], b"c"], 3), ([b"d", b"e"], 7)] {
            add(&added, keys, seq);
            let written: Result<(), ()> = put
                .transact(|transaction| {
                    transaction.put(keys[0], b"small")?;
                    transaction.put(keys[1], &LARGE)?;
                    transaction.set_position(Position::new(seq, None));
                    Ok(())
                })
                .unwrap();
            written.unwrap();
        }
        assert_eq!(added.contents().unwrap(), put.contents().unwrap());
        let read = |index: &Index| index.records().map(Result::unwrap).collect::<Vec<_>>();
        assert_eq!(read(&added), read(&put));
        added.close().unwrap();
        let reopened = open(&folders[0]);
        assert_eq!(reopened.contents().unwrap().unwrap().seq, 7);
        assert_eq!(reopened.get(b"e").unwrap().unwrap(), LARGE.as_slice());
    }

    #[test]
    fn is_refused_in_a_nonempty_range() {
        let folder = tempfile::tempdir().unwrap();
        let index = open(&folder);
        add(&index, [b"b", b"d"], 1);
        let is_begun = |first: &[u8], last: &[u8]| index.add_between(first, last).unwrap().is_some();
        assert!(!is_begun(b"a", b"b") && !is_begun(b"d", b"e") && !is_begun(b"a", b"e"));
        assert!(is_begun(b"a", b"a") && is_begun(b"c", b"c") && is_begun(b"e", b"f"));
    }
}
