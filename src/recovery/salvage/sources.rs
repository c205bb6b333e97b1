//! The readable parts of a damaged store: a complete base, the log after it, and fragments.

use std::collections::BTreeMap;
use std::iter;

use bytes::Bytes;

use crate::engine::TornTail;
use crate::engine::policy::{self, Coverage, Remains, Source};
use crate::engine::wal::{Entry, Found, Spot, own_segments, survey, walk};
use crate::error::Result;
use crate::record::Key;
use crate::recovery::files::inspection::Inspection;
use crate::recovery::files::offline::Offline;
use crate::recovery::records::changes::{Changes, Merged, Newest, Origin};
use crate::recovery::records::lists::Lists;
use crate::recovery::records::validate::open_record;

pub(super) struct Sources<'a> {
    inspection: &'a Inspection,
    /// The base, with everything up to some commit.
    pub(super) source: Source,
    /// The changes on top of it.
    pub(super) changes: Changes,
    pub(super) missing: Coverage,
    /// Records with unreadable versions, by key.
    pub(super) unreadable: BTreeMap<Bytes, Unreadable>,
    pub(super) torn_tail: Option<TornTail>,
    /// The newest commit of which anything was found.
    pub(super) seq: u64,
    pub(super) lists: Lists,
}

/// What is known of an unreadable version of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// The version itself.
    Version(u64),
    /// The record existed after this commit.
    At(u64),
}

impl<'a> Sources<'a> {
    /// Reads the base and the log after it.
    pub(super) fn read(inspection: &'a Inspection) -> Result<Self> {
        let (facts, log) = (&inspection.facts, &inspection.readable_log);
        let (source, seq) = policy::source(facts);
        let remains = policy::remains(facts, &survey(log, seq)?, seq, inspection.is_identity_certain);
        let Remains { coverage, end, log_end, torn_tail, foreign } = remains;
        let log = &own_segments(log, log_end.as_ref());
        let is_foreign = |seq: u64, at: &Spot| foreign.iter().any(|part| part.has(seq, at, log));
        let mut sources = Self {
            inspection,
            source,
            changes: Changes::default(),
            missing: coverage,
            unreadable: BTreeMap::new(),
            torn_tail,
            seq,
            lists: Lists::default(),
        };
        // Data after an intact end is a torn tail.
        let is_wanted = |found: u64| seq < found && end.is_none_or(|end| found <= end);
        // A file of a diverged copy may have other commits of the same numbers later.
        let mut last = seq;
        walk(log, seq, &mut |found| {
            match found {
                Found::Commit { seq, ref at, .. } | Found::Begun { seq, ref at, .. }
                    if is_foreign(seq, at) => {}
                Found::Commit { seq, .. } if seq <= last => {}
                Found::Commit { seq, entry, .. } if is_wanted(seq) => {
                    last = seq;
                    sources.commit(seq, entry);
                }
                Found::Begun { seq, entry, .. } if is_wanted(seq) => sources.begun(seq, entry),
                Found::Commit { .. } | Found::Begun { .. } | Found::Gap { .. } => {}
            }
            Ok(())
        })?;
        Ok(sources)
    }

    /// Determines the newest version of each record found, and the list of each item.
    pub(super) fn sort_out(&mut self, store: &Offline) -> Result<()> {
        self.seq = self.seq.max(self.missing.until());
        self.lists = self.lists(store)?;
        Ok(())
    }

    /// Returns all records in key order.
    pub(super) fn records(&self, store: &Offline) -> Result<Records<'_>> {
        Ok(self.changes.over(self.base_records(store)?))
    }

    /// Returns the newest list of each item, since fragments of several moments may have it on more
    /// than one list, and determines the newest version overall.
    fn lists(&mut self, store: &Offline) -> Result<Lists> {
        let (mut lists, mut newest) = (Lists::default(), self.seq);
        for record in self.records(store)? {
            let (key, value) = record?.into();
            let Ok(record) = open_record(&key, &value) else { continue };
            newest = newest.max(record.version);
            if let Some(address) = record.key.address() {
                lists.add(&address, record.version);
            }
        }
        self.seq = newest;
        Ok(lists)
    }

    fn base_records(&self, store: &Offline) -> Result<BaseRecords<'_>> {
        Ok(match (self.source, &self.inspection.index) {
            (Source::Index, Some(copy)) => Box::new(copy.index.records()),
            (Source::Snapshot(n), _) => match self.inspection.snapshots.get(n) {
                Some(snapshot) => Box::new(store.archive(&snapshot.path)?),
                None => Box::new(iter::empty()),
            },
            _ => Box::new(iter::empty()),
        })
    }

    fn commit(&mut self, seq: u64, entry: &[u8]) {
        match Entry::decode(entry) {
            Some(entry) => self.changes.add(seq, entry.writes()),
            None => self.missing.lose(seq),
        }
    }

    fn begun(&mut self, seq: u64, entry: &[u8]) {
        for write in Entry::decode_begun(entry).into_iter().flat_map(Entry::writes) {
            self.unreadable.insert(write.key.bytes().clone(), Unreadable::Version(seq));
        }
    }

    /// Adds a record version that was found somewhere.
    ///
    /// Only versions of missing commits matter: the effects of the others are known.
    pub(super) fn add(&mut self, key: &Key, version: u64, value: Bytes, origin: Origin) {
        if self.missing.is_missing(version) {
            self.seq = self.seq.max(version);
            self.changes.put(key.bytes().clone(), Newest { version, value: Some(value), origin });
        }
    }
}

type BaseRecords<'a> = Box<dyn Iterator<Item = Result<(Bytes, Bytes)>> + 'a>;

pub(super) type Records<'a> = Merged<'a, Bytes, BaseRecords<'a>>;
