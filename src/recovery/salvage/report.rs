//! The fate of each salvaged record.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::sources::{Sources, Unreadable};
use crate::error::Result;
use crate::proto::record::Owner;
use crate::record::{self, Key, Payload};
use crate::recovery::records::changes::{Current, Origin};
use crate::recovery::records::lists::Lists;
use crate::recovery::records::names::named_in_process;
use crate::recovery::records::owners::Owners;
use crate::recovery::records::validate::open_record;

/// The fate of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fate {
    /// It is kept in its last version.
    Kept,
    /// It is kept in its newest readable version, from a place where it belonged. A later commit
    /// that is missing may have changed or deleted it.
    Uncertain,
    /// It is kept in an older version: a newer one is known to have existed.
    Older,
    /// It was found among the bytes of a missing commit, and may have been changed or deleted
    /// since. Or it is an empty owner record in place of a lost one, without which the rest of its
    /// process would not be found.
    Suspicious,
    /// It is left out because a newer version of the work item is on another list.
    Superseded,
    /// It is known to have existed, and no version is readable.
    Lost,
}

impl std::fmt::Display for Fate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Kept => "kept",
            Self::Uncertain => "uncertain",
            Self::Older => "older",
            Self::Suspicious => "suspicious",
            Self::Superseded => "superseded",
            Self::Lost => "lost",
        })
    }
}

/// A record of a salvaged store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SalvagedRecord {
    /// What became of it.
    pub fate: Fate,
    /// The process.
    pub process: String,
    /// The record: `owner`, `settings`, `status`, `totals`, `active`, `cleanup`, `dropped` or
    /// `history`.
    pub record: &'static str,
    /// The work item, for a record on one of the lists.
    pub work: Option<String>,
    /// The commit that wrote the version in the new store; for a lost record, a commit at which it
    /// existed.
    pub version: u64,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) kept: u64,
    pub(super) uncertain: u64,
    pub(super) older: u64,
    pub(super) suspicious: u64,
    pub(super) lost: u64,
    pub(super) superseded: u64,
}

/// A record of the new store.
struct Passed {
    key: Key,
    value: Bytes,
}

pub(super) struct Report<'a> {
    sources: &'a Sources<'a>,
    visit: &'a mut dyn FnMut(SalvagedRecord),
    counts: Counts,
    /// Records with an unreadable version that were recovered.
    found: BTreeSet<Bytes>,
}

impl<'a> Report<'a> {
    pub(super) fn new(sources: &'a Sources<'a>, visit: &'a mut dyn FnMut(SalvagedRecord)) -> Self {
        Self { sources, visit, counts: Counts::default(), found: BTreeSet::new() }
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// Returns the records for the new store, reporting each as it passes.
    ///
    /// `lists` knows the items that may be on several lists.
    pub(super) fn passing<'b>(
        &'b mut self,
        records: impl Iterator<Item = Result<Current>> + 'b,
        lists: &'b Lists,
    ) -> impl Iterator<Item = Result<(Bytes, Bytes)>> + 'b {
        let mut owners = Owners::default();
        let passed = move |record: Result<Current>| {
            let record = match record.map(|record| self.pass(record, lists)) {
                Ok(None) => return [None, None],
                Ok(Some(record)) => record,
                Err(error) => return [None, Some(Err(error))],
            };
            let address = record.key.address().filter(|address| owners.is_missing_before(address));
            let owner = address.map(|address| Ok(self.new_owner(&address.process)));
            [owner, Some(Ok((record.key.bytes().clone(), record.value)))]
        };
        records.flat_map(passed).flatten()
    }

    fn new_owner(&mut self, process: &str) -> (Bytes, Bytes) {
        let (key, version) = (Key::owner(process), self.sources.seq);
        let nobody = Owner { process_name: process.to_owned(), ..Owner::default() };
        self.found.insert(key.bytes().clone());
        self.tell(Fate::Suspicious, &key, version);
        (key.bytes().clone(), record::seal(&key, version, &nobody.to_payload()))
    }

    fn pass(&mut self, record: Current, lists: &Lists) -> Option<Passed> {
        let Current { key, value, origin } = record;
        let Ok(opened) = open_record(&key, &value) else {
            if let Some(key) = Key::from_bytes(key) {
                self.tell(Fate::Lost, &key, self.sources.seq);
            }
            return None;
        };
        if opened.key.address().is_some_and(|address| lists.has_elsewhere(&address)) {
            self.found.insert(key);
            self.tell(Fate::Superseded, &opened.key, opened.version);
            return None;
        }
        let unreadable = self.sources.unreadable.get(&key);
        if unreadable.is_some() {
            self.found.insert(key.clone());
        }
        let is_older = matches!(unreadable, Some(Unreadable::Version(newer)) if *newer > opened.version);
        let is_of_missing = self.sources.missing.is_missing(opened.version);
        let fate = match origin {
            _ if is_older => Fate::Older,
            Origin::Carved => Fate::Suspicious,
            Origin::Base if is_of_missing => Fate::Suspicious,
            _ if self.sources.missing.is_before_some(opened.version) => Fate::Uncertain,
            Origin::Base | Origin::Log | Origin::Archive => Fate::Kept,
        };
        self.tell(fate, &opened.key, opened.version);
        Some(Passed { key: opened.key, value })
    }

    /// Reports the records that are not in the new store.
    pub(super) fn tell_lost(&mut self) {
        let sources = self.sources;
        for (key, unreadable) in &sources.unreadable {
            let (Unreadable::Version(version) | Unreadable::At(version)) = unreadable;
            // A record that was written or deleted later is not lost.
            let has_newer = sources.changes.get(key).is_some_and(|newest| newest.version >= *version);
            if has_newer || self.found.contains(key) {
                continue;
            }
            if let Some(key) = Key::from_bytes(key.clone()) {
                self.tell(Fate::Lost, &key, *version);
            }
        }
    }

    fn tell(&mut self, fate: Fate, key: &Key, version: u64) {
        let Some(address) = key.address() else { return };
        let count = match fate {
            Fate::Kept => &mut self.counts.kept,
            Fate::Uncertain => &mut self.counts.uncertain,
            Fate::Older => &mut self.counts.older,
            Fate::Suspicious => &mut self.counts.suspicious,
            Fate::Superseded => &mut self.counts.superseded,
            Fate::Lost => &mut self.counts.lost,
        };
        *count += 1;
        let (process, record, work) = named_in_process(address);
        (self.visit)(SalvagedRecord { fate, process, record, work, version });
    }
}
