//! What a damaged store still has: something complete, the log behind it, and pieces.

use std::collections::BTreeMap;
use std::iter;

use bytes::Bytes;

use super::MadeOf;
use super::missing::Coverage;
use super::pieces;
use crate::engine::wal::{Found, LogEnd, Reading, Survey, decode_begun, survey, walk};
use crate::engine::{Snapshot, TornTail};
use crate::error::Result;
use crate::record::Key;
use crate::recovery::changes::{Changes, Merged, Newest, Origin};
use crate::recovery::lists::Lists;
use crate::recovery::offline::Offline;
use crate::recovery::options::Meter;
use crate::recovery::parts::Parts;
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
    pub(super) lists: Lists,
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
    pub(super) fn gather(store: &Offline, parts: &'a Parts, meter: &Meter<'_>) -> Result<Self> {
        let (base, seq) = newest_complete(parts);
        let mut sources = Self {
            parts,
            base,
            changes: Changes::default(),
            missing: Coverage::from(seq),
            unreadable: BTreeMap::new(),
            torn_tail: None,
            seq,
            lists: Lists::default(),
        };
        sources.read_log(seq)?;
        if !sources.missing.is_complete() {
            pieces::gather(store, parts, meter, &mut sources)?;
        }
        sources.seq = sources.seq.max(sources.missing.until());
        sources.lists = sources.lists(store)?;
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

    /// Goes through all records: which list each item was last on, since pieces of several
    /// moments may have it on more than one; and the newest version of all.
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
        Ok(match (self.base, &self.parts.index) {
            (Base::Index, Some(copy)) => Box::new(copy.index.records()),
            (Base::Snapshot(n), _) => match self.parts.snapshots.get(n) {
                Some(snapshot) => Box::new(store.archive(&snapshot.path)?),
                None => Box::new(iter::empty()),
            },
            _ => Box::new(iter::empty()),
        })
    }

    fn read_log(&mut self, base: u64) -> Result<()> {
        let (log, noted) = (&self.parts.readable_log, self.noted());
        let (mut end, mut is_end_doubtful) = (None, false);
        if self.parts.is_other_log() {
            // What it has came about in a copy of the store, and never in this one.
            self.missing.is_known_up_to(noted);
            self.missing.end(true);
            return Ok(());
        }
        let survey = survey(log, base)?;
        let damage = match survey.end_behind(base) {
            // What looks like a torn tail was known to be durable.
            Ok(Some(found)) if found.last_seq < noted => Some(found.last_seq + 1),
            Ok(Some(found)) => {
                let kept = found.last_seq;
                self.torn_tail = found.torn.map(|newest| TornTail { kept, newest });
                is_end_doubtful = self.is_doubtful(&found);
                self.missing.is_known_up_to(kept);
                end = Some(kept);
                None
            }
            Ok(None) => self.parts.has_log().then_some(base + 1),
            Err(damage) => {
                self.missing.is_known_up_to(damage.last);
                // What comes before is there, whether the log has it or not.
                Some(damage.first.max(base + 1))
            }
        };
        self.missing.is_known_up_to(noted);
        let mut reached = base;
        walk(log, base, &mut |found| {
            reached = reached.max(self.found(&found, base, end));
            Ok(())
        })?;
        let is_end_unknown = damage.is_some() && self.is_end_missing(&survey, reached);
        self.missing.end(is_end_unknown || is_end_doubtful);
        Ok(())
    }

    /// Whether there may have been more than the log has. Damage to its end cannot be told
    /// from a torn tail, nor, where nothing of it is left, from an end.
    fn is_doubtful(&self, found: &LogEnd) -> bool {
        let has_index = self.parts.judge().index.is_ok();
        // An index may be an old one.
        let is_whole = found.torn.is_none() && found.synced >= found.last_seq;
        let is_vouched_for = self.parts.is_identity_certain && (found.is_clean || (has_index && is_whole));
        (!has_index && found.torn.is_some()) || !(self.parts.facts.manifest.is_ok() || is_vouched_for)
    }

    /// Whether nothing tells where the log ended, of which something can be read up to the
    /// commit `reached`: behind one gap there may be another.
    fn is_end_missing(&mut self, survey: &Survey, reached: u64) -> bool {
        match survey.end_behind(reached) {
            Ok(found) => found.is_none_or(|found| found.last_seq < self.noted()),
            Err(damage) => {
                self.missing.is_known_up_to(damage.last);
                true
            }
        }
    }

    /// Takes what was found in the log: behind a sound end it is a torn tail. Answers up to
    /// which commit it tells of all, or that it is missing.
    fn found(&mut self, found: &Found<'_>, base: u64, end: Option<u64>) -> u64 {
        let (Found::Commit { seq, .. } | Found::Begun { seq, .. } | Found::Gap { until: seq, .. }) = *found;
        if seq <= base || end.is_some_and(|end| seq > end) {
            return seq;
        }
        match found {
            Found::Commit { entry, .. } => {
                if let Some(reading) = Reading::of(entry) {
                    self.missing.reach(seq);
                    self.changes.add(seq, reading.writes());
                }
            }
            Found::Begun { entry, .. } => {
                for write in decode_begun(entry) {
                    self.unreadable.insert(write.key.bytes().clone(), Unreadable::Version(seq));
                }
                self.missing.is_known_up_to(seq);
                return seq - 1;
            }
            Found::Gap { .. } => self.missing.is_known_up_to(seq),
        }
        seq
    }

    /// A commit that there was for certain.
    fn noted(&self) -> u64 {
        let noted = self.parts.facts.manifest.as_ref().ok().and_then(|noted| noted.index);
        let seen = [noted, self.parts.facts.synced].into_iter().flatten().map(|seen| seen.seq).max();
        seen.unwrap_or(0).max(self.parts.snapshot_seq())
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

pub(super) type Records<'a> = Merged<'a, Bytes, BaseRecords<'a>>;

fn newest_complete(parts: &Parts) -> (Base, u64) {
    let index = parts.index.as_ref().filter(|_| !parts.is_other_index());
    let index = index.map(|copy| (Base::Index, copy.contents.seq));
    // One that was rolled back to before its first commit is nothing.
    let index = index.filter(|(_, seq)| *seq > 0);
    let sound = |(n, (snapshot, is_sound)): (usize, (&Snapshot, bool))| {
        is_sound.then_some((Base::Snapshot(n), snapshot.seq))
    };
    let snapshots = parts.archives().enumerate().filter_map(sound);
    // Of equals the last: the index.
    snapshots.chain(index).max_by_key(|(_, seq)| *seq).unwrap_or((Base::Nothing, 0))
}
