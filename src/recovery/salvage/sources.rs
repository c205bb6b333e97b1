//! What a damaged store still has: something complete, the log behind it, and pieces.

use std::collections::BTreeMap;
use std::iter;

use bytes::Bytes;

use super::MadeOf;
use super::missing::Coverage;
use super::pieces;
use crate::engine::TornTail;
use crate::engine::wal::{Found, browse, decode, decode_begun, scan};
use crate::error::{Failure, Result};
use crate::record::Key;
use crate::recovery::changes::{Changes, Merged, Newest, Origin};
use crate::recovery::lists::Lists;
use crate::recovery::offline::Offline;
use crate::recovery::parts::{Archived, Parts};
use crate::recovery::sound::open_record;

pub(super) struct Sources<'a> {
    parts: &'a Parts,
    base: Base,
    /// What there is over the base.
    pub(super) changes: Changes,
    pub(super) missing: Coverage,
    /// Records of which something is not to be had, by key.
    pub(super) unreadable: BTreeMap<Bytes, Unreadable>,
    pub(super) torn_tail: Option<TornTail>,
    /// The newest commit of which there is anything.
    pub(super) seq: u64,
}

/// What is known of a version of a record that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It is this one.
    Version(u64),
    /// It was there after this commit.
    At(u64),
}

/// Something that has everything up to some commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Base {
    Index,
    /// By its place in the list.
    Snapshot(usize),
    /// There was nothing before the first commit.
    Nothing,
}

impl<'a> Sources<'a> {
    pub(super) fn gather(store: &Offline, parts: &'a Parts) -> Result<Self> {
        let (base, seq) = newest_complete(parts);
        let mut sources = Self {
            parts,
            base,
            changes: Changes::default(),
            missing: Coverage::from(seq),
            unreadable: BTreeMap::new(),
            torn_tail: None,
            seq,
        };
        sources.read_log(seq)?;
        if !sources.missing.is_complete() {
            pieces::gather(store, parts, &mut sources)?;
        }
        sources.seq = sources.seq.max(sources.missing.until());
        Ok(sources)
    }

    pub(super) fn made_of(&self) -> MadeOf {
        match self.base {
            _ if !self.missing.is_complete() => MadeOf::Pieces,
            Base::Index => MadeOf::Index,
            Base::Snapshot(_) => MadeOf::Snapshot,
            Base::Nothing => MadeOf::Log,
        }
    }

    /// All records, in order.
    pub(super) fn records(&self, store: &Offline) -> Result<Records<'_>> {
        Ok(self.changes.over(self.base_records(store)?))
    }

    /// Which list each item was last on, where pieces of several moments may have it on
    /// more than one.
    pub(super) fn lists(&self, store: &Offline) -> Result<Option<Lists>> {
        if self.missing.is_complete() {
            return Ok(None);
        }
        let mut lists = Lists::default();
        for record in self.records(store)? {
            let (key, value) = record?.into();
            if let Ok(record) = open_record(&key, &value)
                && let Some(address) = record.key.address()
            {
                lists.add(&address, record.version);
            }
        }
        Ok(Some(lists))
    }

    fn base_records(&self, store: &Offline) -> Result<BaseRecords<'_>> {
        Ok(match (self.base, &self.parts.index) {
            (Base::Index, Ok(copy)) => Box::new(copy.index.records()),
            (Base::Snapshot(n), _) => match self.parts.snapshots.get(n) {
                Some(archived) => Box::new(store.archive(&archived.snapshot.path)?),
                None => Box::new(iter::empty()),
            },
            _ => Box::new(iter::empty()),
        })
    }

    fn read_log(&mut self, base: u64) -> Result<()> {
        let log = &self.parts.readable_log;
        let (end, known) = match scan(log, base, &mut |_, _| Ok(())) {
            Ok(Some(end)) => {
                let (kept, torn) = (end.last_seq, end.torn);
                self.torn_tail = torn.map(|newest| TornTail { kept, newest });
                (Some(kept), kept)
            }
            Ok(None) => (None, base),
            Err(error) => match error.failure() {
                Failure::LogDamaged { last, .. } => (None, *last),
                _ => (None, base),
            },
        };
        let mut is_empty = true;
        browse(log, base, &mut |found| {
            is_empty = false;
            self.found(&found, base, end);
            Ok(())
        })?;
        self.missing.miss(known.max(self.noted()));
        if is_empty && self.parts.has_log() {
            self.missing.end_is_unknown();
        }
        Ok(())
    }

    /// Takes what was found in the log: behind a sound end it is a torn tail.
    fn found(&mut self, found: &Found<'_>, base: u64, end: Option<u64>) {
        let is_wanted = |seq: u64| seq > base && end.is_none_or(|end| seq <= end);
        match found {
            Found::Commit { seq, entry, .. } if is_wanted(*seq) => {
                if let Some(entry) = decode(entry) {
                    self.missing.reach(*seq);
                    self.changes.add(*seq, entry);
                }
            }
            Found::Begun { seq, entry, .. } if is_wanted(*seq) => {
                for write in decode_begun(entry) {
                    self.unreadable.insert(write.key.bytes().clone(), Unreadable::Version(*seq));
                }
            }
            Found::Gap { until, .. } if is_wanted(*until) => self.missing.miss(*until),
            _ => {}
        }
    }

    /// A commit that there was for certain.
    fn noted(&self) -> u64 {
        let manifest = self.parts.manifest.as_ref().ok().and_then(|manifest| manifest.index_seq);
        manifest.unwrap_or(0).max(self.parts.snapshot_seq())
    }

    /// Adds a version of a record that was found somewhere. Only what a missing commit
    /// wrote says anything: of the others it is known what they left.
    pub(super) fn add(&mut self, key: &Key, version: u64, value: Bytes, origin: Origin) {
        if self.missing.is_missing(version) {
            self.seq = self.seq.max(version);
            self.changes.put(key.bytes().clone(), Newest { version, value: Some(value), origin });
        }
    }
}

type BaseRecords<'a> = Box<dyn Iterator<Item = Result<(Bytes, Bytes)>> + 'a>;

pub(super) type Records<'a> = Merged<'a, BaseRecords<'a>>;

fn newest_complete(parts: &Parts) -> (Base, u64) {
    let index = parts.index.as_ref().ok().map(|copy| (Base::Index, copy.contents.seq));
    let is_sound = |(n, archived): (usize, &Archived)| {
        archived.summary.as_ref().ok().map(|summary| (Base::Snapshot(n), summary.seq))
    };
    let snapshots = parts.snapshots.iter().enumerate().filter_map(is_sound);
    // Of equals the last: the index.
    snapshots.chain(index).max_by_key(|(_, seq)| *seq).unwrap_or((Base::Nothing, 0))
}
