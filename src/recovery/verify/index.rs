//! Verifies the records of the index, and compares them with snapshot and log.

use std::iter::Peekable;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::digest::Digest;
use super::log::Behind;
use super::report::Report;
use crate::engine::policy::Integrity;
use crate::error::Result;
use crate::record::Key;
use crate::recovery::files::index_copy::IndexCopy;
use crate::recovery::files::inspection::Inspection;
use crate::recovery::files::offline::Offline;
use crate::recovery::options::Meter;
use crate::recovery::records::changes::{Changes, Current};
use crate::recovery::records::lists::Lists;
use crate::recovery::records::owners::Owners;
use crate::recovery::records::validate::open_record;

pub(super) fn check(
    store: &Offline,
    inspection: &Inspection,
    behind: &Behind,
    meter: &Meter<'_>,
    report: &mut Report<'_>,
) -> Result<()> {
    let file = store.closed.layout().index().join("db");
    let (index, copies) = (report.verdict.index.clone(), report.verdict.copies.clone());
    if let Err(why) = index {
        let spare = copies.is_ok() && report.verdict.opens.is_ok();
        let copy = match inspection.newest_snapshot() {
            Some(_) => "the snapshot, with the log,",
            None => "the log",
        };
        let finding = report.broken(&file, why.to_string(), spare.then_some(copy));
        report.tell(finding);
    }
    if let Some(copy) = &inspection.index {
        report.set_records(copy.contents.records, copy.contents.seq);
    }
    let applied = &behind.applied;
    let snapshot = inspection.newest_snapshot().filter(|(_, soundness)| **soundness == Integrity::Intact);
    let mut expected = match (&report.verdict.copies, snapshot) {
        (Err(_), _) => Expected::unknown(),
        (Ok(()), None) => Expected::new(applied.over(std::iter::empty())),
        (Ok(()), Some((newest, _))) => {
            let path = newest.path.clone();
            let archive = store.archive(&path)?;
            let digests = archive.map(|record| {
                let (key, value) = record?;
                meter.add((key.len() + value.len()) as u64);
                Ok((key, Digest::from(value)))
            });
            Expected::new(applied.over(digests))
        }
    };
    let mut reader =
        Reader { file, lists: Lists::default(), owners: Owners::default(), rest: &behind.rest, report };
    match &inspection.index {
        Some(copy) if reader.report.verdict.index.is_ok() => reader.read(copy, &mut expected, meter)?,
        _ => {}
    }
    reader.read_rest(&mut expected)
}

type Records<'a> = Box<dyn Iterator<Item = Result<(Bytes, Digest)>> + 'a>;

/// The expected records of the index according to snapshot and log.
struct Expected<'a> {
    /// `None` if snapshot and log do not determine them.
    records: Option<Peekable<Records<'a>>>,
}

impl<'a> Expected<'a> {
    fn unknown() -> Self {
        Self { records: None }
    }

    fn new(records: impl Iterator<Item = Result<Current<Digest>>> + 'a) -> Self {
        let records: Records<'a> = Box::new(records.map(|record| record.map(Into::into)));
        Self { records: Some(records.peekable()) }
    }
}

struct Reader<'a, 'b> {
    file: PathBuf,
    lists: Lists,
    owners: Owners,
    /// Log after the last commit of the index, any part of which an interrupted checkpoint may have
    /// applied.
    rest: &'a Changes<Digest>,
    report: &'a mut Report<'b>,
}

impl Reader<'_, '_> {
    fn read(&mut self, copy: &IndexCopy, expected: &mut Expected<'_>, meter: &Meter<'_>) -> Result<()> {
        let mut failed = Ok(());
        copy.index.scan(&[], &[u8::MAX], &mut |key: &[u8], value: &[u8]| {
            let (key, value) = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
            meter.add((key.len() + value.len()) as u64);
            self.record(&key, &value);
            failed = self.compare(&key, &value, expected);
            if failed.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        failed
    }

    fn record(&mut self, key: &Bytes, value: &Bytes) {
        let file = self.file.clone();
        let record = match open_record(key, value) {
            Ok(record) => record,
            Err(why) => return self.wrong(&file, key, &why, "this record cannot be read"),
        };
        if record.version > self.report.newest_seq() {
            let what = format!("its version is {}, but the store has no such commit", record.version);
            self.wrong(&file, key, &what, "a later commit may be mistaken for the one that wrote it");
        }
        self.check_rules(&record.key);
    }

    fn check_rules(&mut self, key: &Key) {
        let Some(address) = key.address() else { return };
        let file = self.file.clone();
        if self.owners.is_missing_before(&address) {
            let meaning = "its process cannot be read without one";
            self.wrong(&file, key.bytes(), "its process has no owner record", meaning);
        }
        let Some(other) = self.lists.add(&address, 0) else { return };
        let what = format!("it is also on the {other} list");
        self.wrong(&file, key.bytes(), &what, "a work item is on one list only");
    }

    /// Compares a record of the index with the expected one.
    fn compare(&mut self, key: &Bytes, value: &Bytes, expected: &mut Expected<'_>) -> Result<()> {
        let Some(records) = &mut expected.records else { return Ok(()) };
        while let Some(missing) =
            records.next_if(|record| record.as_ref().is_ok_and(|(other, _)| other < key))
        {
            self.missing(&missing?.0);
        }
        let same = records.next_if(|record| record.as_ref().is_ok_and(|(other, _)| other == key));
        match same.transpose()? {
            Some((_, other)) if other == Digest::from(value.clone()) => {}
            _ if self.rest.get(key).is_some() => {}
            Some(_) => self.differs(key, "another version of it than snapshot and log"),
            None if matches!(records.peek(), Some(Err(_))) => {}
            None => self.differs(key, "a record that snapshot and log do not have"),
        }
        Ok(())
    }

    /// Reports expected records that are missing from the index; all of them without an index.
    fn read_rest(&mut self, expected: &mut Expected<'_>) -> Result<()> {
        let Some(records) = &mut expected.records else { return Ok(()) };
        let has_index = self.report.verdict.index.is_ok();
        for record in records {
            let (key, _) = record?;
            if has_index {
                self.missing(&key);
            } else if let Some(key) = Key::from_bytes(key) {
                // Its value was read with the snapshot or the log.
                self.check_rules(&key);
            }
        }
        Ok(())
    }

    fn missing(&mut self, key: &Bytes) {
        if self.rest.get(key).is_none() {
            self.differs(key, "not a record that snapshot and log have");
        }
    }

    fn differs(&mut self, key: &Bytes, has: &str) {
        let what = format!("the index has {has}");
        let file = self.file.clone();
        self.wrong(
            &file,
            key,
            &what,
            "the store opens with what the index has; files of it may be of different times",
        );
    }

    fn wrong(&mut self, file: &Path, key: &Bytes, what: &str, meaning: &str) {
        let described = Key::from_bytes(key.clone()).map(|key| key.describe());
        let record = described.unwrap_or_else(|| format!("a record under the key {:02x?}", key.as_ref()));
        let finding = self.report.wrong(file, what, meaning).of(record);
        self.report.tell(finding);
    }
}
