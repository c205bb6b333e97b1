//! The index: an ordered byte map in sled. Only this module names sled.
//!
//! This module hides faults of sled 0.34.7 from its users. They were measured; the numbers refer to
//! section 9 of the notes on sled:
//!
//! - `flush` does not reach the disk: [`Index::sync`] adds `fdatasync` on a
//!   descriptor of our own (11), which also reports a write-back error that
//!   sled's thread swallows.
//! - A program killed while opening leaves a snapshot that can never be opened:
//!   `open` moves it aside (2).
//! - Opening a damaged file panics, or silently rolls records back: it runs
//!   under `catch_unwind` (4), and the count and sum of all records, kept in
//!   the same transaction as every change, are compared (8, 9).
//! - Large values leak files: values are split (12, `chunks`).
//! - Other calls within a transaction deadlock the program: the body of a
//!   transaction gets only a [`Transaction`] (13).

mod addition;
mod blobs;
mod chunks;
mod contents;
mod guard;
#[cfg(target_os = "linux")]
mod holes;
mod key;
mod open;
mod quiet;
pub(crate) mod raw;
mod transaction;
mod verify;

use std::fs::File;
use std::ops::ControlFlow;
use std::path::PathBuf;

use bytes::Bytes;
use parking_lot::Mutex;
use uuid::Uuid;

pub(crate) use addition::Addition;
pub(crate) use contents::Contents;
pub(crate) use open::{Options, check_files};
pub(crate) use transaction::{Stop, Transaction};

use crate::error::{Error, Failure, Result};
use guard::{Fault, guard};
use key::{RECORD, record_key};

/// Receives borrowed records in key order. A break ends the visit.
pub(crate) trait Visit {
    /// Reports whether to skip a record without reading its value.
    fn skips(&mut self, key: &[u8]) -> ControlFlow<(), bool>;

    fn visit(&mut self, key: &[u8], value: &[u8]) -> ControlFlow<()>;
}

/// A visitor that skips nothing.
impl<F: FnMut(&[u8], &[u8]) -> ControlFlow<()>> Visit for F {
    fn skips(&mut self, _: &[u8]) -> ControlFlow<(), bool> {
        ControlFlow::Continue(false)
    }

    fn visit(&mut self, key: &[u8], value: &[u8]) -> ControlFlow<()> {
        self(key, value)
    }
}

#[derive(Debug)]
pub(crate) struct Index {
    db: sled::Db,
    /// A descriptor of sled's file of our own.
    file: File,
    /// Serializes flushes.
    flushing: Mutex<()>,
    dir: PathBuf,
    /// The id of the store that the index belongs to.
    store: Option<[u8; 16]>,
}

impl Index {
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.guarded("read a record", || {
            let read = |key: &[u8]| self.db.get(key).map_err(Fault::from);
            read(&record_key(key))?.map(|head| chunks::join(head, read)).transpose()
        })
    }

    /// Visits the records from `start` up to but not including `end`.
    ///
    /// Concurrent changes may or may not be seen.
    pub(crate) fn scan(&self, start: &[u8], end: &[u8], visit: &mut dyn Visit) -> Result<()> {
        if start >= end {
            return Ok(());
        }
        self.guarded("read records", || {
            for entry in self.db.range(record_key(start)..record_key(end)) {
                // After its first error sled's iterator repeats it forever.
                let (key, head) = entry?;
                if self.visit_one(key.get(1..).unwrap_or_default(), &head, visit)?.is_break() {
                    break;
                }
            }
            Ok(())
        })
    }

    fn visit_one(&self, key: &[u8], head: &[u8], visit: &mut dyn Visit) -> Result<ControlFlow<()>, Fault> {
        match visit.skips(key) {
            ControlFlow::Continue(false) => {}
            ControlFlow::Continue(true) => return Ok(ControlFlow::Continue(())),
            ControlFlow::Break(()) => return Ok(ControlFlow::Break(())),
        }
        let value = chunks::view(head, |key| self.db.get(key).map_err(Fault::from))?;
        Ok(visit.visit(key, &value))
    }

    /// Iterates over all records in key order.
    ///
    /// Concurrent changes may or may not be seen. Iteration ends after an error.
    pub(crate) fn records(&self) -> impl Iterator<Item = Result<(Bytes, Bytes)>> + '_ {
        let mut entries = Some(self.db.range([RECORD]..[RECORD + 1]));
        std::iter::from_fn(move || {
            let next = self.guarded("read records", || {
                let Some(entry) = entries.as_mut().and_then(Iterator::next) else { return Ok(None) };
                let (key, head) = entry?;
                let value = chunks::join(head, |key| self.db.get(key).map_err(Fault::from))?;
                Ok(Some((Bytes::from_owner(key).slice(1..), value)))
            });
            if next.is_err() {
                entries = None;
            }
            next.transpose()
        })
    }

    /// Runs `body` as one transaction, which writes everything, or nothing if `body` stops.
    ///
    /// The body may run more than once.
    pub(crate) fn transact<T, R>(
        &self,
        body: impl Fn(&Transaction<'_>) -> Result<T, Stop<R>>,
    ) -> Result<Result<T, R>> {
        self.guarded("commit", || transaction::run(&self.db, self.store, &body))
    }

    /// Returns the contents record; `None` if nothing was ever written.
    pub(crate) fn contents(&self) -> Result<Option<Contents>> {
        self.guarded("read its contents record", || {
            let value = self.db.get(contents::KEY)?;
            value.map(|value| Contents::decode(&value).ok_or(contents::DAMAGED)).transpose()
        })
    }

    /// Fails if the index belongs to another store.
    fn check_store(&self) -> Result<()> {
        let found = self.contents()?.and_then(|contents| contents.store);
        match (found, self.store) {
            (Some(found), Some(own)) if found != own => Err(self.corrupt(&of_another_store(found))),
            _ => Ok(()),
        }
    }

    /// Makes every transaction so far survive the program's death.
    fn flush(&self) -> Result<()> {
        let _one = self.flushing.lock();
        self.guarded("write its buffers", || Ok(self.db.flush().map(drop)?))
    }

    /// Makes every transaction so far survive power loss.
    pub(crate) fn sync(&self) -> Result<()> {
        self.flush()?;
        blobs::sync(&self.dir)?;
        self.file.sync_data().map_err(|error| Error::io("make durable", self.dir.join("db"), error))
    }

    /// Closes the files.
    pub(crate) fn close(self) -> Result<()> {
        let Self { db, dir, .. } = self;
        guard(&dir, "close", || {
            drop(db);
            Ok(())
        })?;
        #[cfg(target_os = "linux")]
        if let Err(error) = holes::punch(&dir.join("db"), open::LOCK_LAG) {
            tracing::debug!(%error, dir = %dir.display(), "the index takes more of the disk than it must");
        }
        Ok(())
    }

    pub(crate) fn disk_bytes(&self) -> Result<u64> {
        self.guarded("read its size", || Ok(self.db.size_on_disk()?))
    }

    fn guarded<T>(&self, action: &'static str, call: impl FnOnce() -> Result<T, Fault>) -> Result<T> {
        guard(&self.dir, action, call)
    }

    fn corrupt(&self, why: &str) -> Error {
        Failure::Corrupt { place: format!("index {}", self.dir.display()), why: why.to_owned() }.into()
    }
}

/// The message for an index that belongs to the store with the id `found`.
pub(crate) fn of_another_store(found: [u8; 16]) -> String {
    format!("it is the index of another store, with the id {}", Uuid::from_bytes(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: Options =
        Options { cache_bytes: 1 << 20, verify: true, copy_of: None, store: None, mode: 0o600 };

    fn put(index: &Index, key: &[u8], value: &[u8]) {
        let written: Result<(), ()> = index.transact(|transaction| transaction.put(key, value)).unwrap();
        written.unwrap();
    }

    /// A record that sled lost or rolled back is intact in itself; only the sum shows that it is
    /// not the newest version.
    #[test]
    fn lost_and_rolled_back_records_are_detected_on_open() {
        let large = vec![7; 20_000];
        let tampers: [fn(&sled::Db); 4] = [
            |db| drop(db.insert(record_key(b"a"), chunks::whole(b"older")).unwrap()),
            |db| drop(db.remove(record_key(b"a")).unwrap()),
            |db| drop(db.insert(record_key(b"c"), chunks::whole(b"of nobody")).unwrap()),
            |db| drop(db.remove(contents::KEY).unwrap()),
        ];
        for (n, tamper) in tampers.into_iter().enumerate() {
            let folder = tempfile::tempdir().unwrap();
            let dir = folder.path().join("index");
            let index = Index::open(&dir, &OPTIONS).unwrap();
            put(&index, b"a", b"newest");
            put(&index, b"b", &large);
            index.close().unwrap();
            let index = Index::open(&dir, &OPTIONS).unwrap();
            tamper(&index.db);
            index.close().unwrap();
            let error = Index::open(&dir, &OPTIONS).unwrap_err();
            assert!(error.is_corrupt(), "{n}: {error}");
            assert!(error.to_string().contains("some are missing or older versions"), "{n}: {error}");
        }
    }

    /// With all that it held, also when it is opened again.
    #[test]
    fn a_small_index_uses_little_disk_once_closed() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("index");
        for n in 0..6_u8 {
            let index = Index::open(&dir, &OPTIONS).unwrap();
            assert_eq!(index.records().count(), usize::from(n));
            put(&index, &[n], &[n; 100]);
            index.sync().unwrap();
            index.close().unwrap();
            let bytes = std::fs::metadata(dir.join("db")).unwrap().blocks() * 512;
            assert!(bytes <= 64 << 10, "{bytes} after {n}");
        }
    }

    /// Reading detects a missing chunk.
    #[test]
    fn a_large_record_with_a_missing_part_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::open(&folder.path().join("index"), &OPTIONS).unwrap();
        put(&index, b"b", &[7; 20_000]);
        let part =
            chunks::Set::of_head(&index.db.get(record_key(b"b")).unwrap().unwrap()).unwrap().keys().nth(1);
        index.db.remove(part.unwrap()).unwrap();
        let error = index.get(b"b").unwrap_err();
        assert!(error.is_corrupt(), "{error}");
        assert!(error.to_string().contains("a part of a large record is missing"), "{error}");
        assert_eq!(index.get(b"a").unwrap(), None, "other records can be read");
    }
}
