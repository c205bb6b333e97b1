//! The log: its files, frames, commits, and what it adds to the newest snapshot.

use std::collections::HashMap;

use super::report::Report;
use super::{Finding, Offline, Parts, Severity};
use crate::engine::wal::{Entry, Found, Spot, browse, decode};
use crate::error::Result;
use crate::record::{Key, Kind, Record};
use crate::recovery::changes::Changes;
use crate::recovery::sound::decode as decode_message;

/// What the log holds behind the newest snapshot.
#[derive(Default)]
pub(super) struct Logged {
    /// Up to the commit up to which the index has everything.
    pub(super) applied: Changes,
    /// After that.
    pub(super) rest: Changes,
}

pub(super) fn check(store: &Offline, parts: &Parts, report: &mut Report<'_>) -> Result<Logged> {
    for (path, why) in &parts.wrong_log_files {
        let spare = report.verdict.opens.is_ok().then_some("the rest of the store");
        let finding = report.broken(path, why.clone(), spare);
        report.tell(finding);
    }
    let mut reader = Reader {
        snapshot: parts.snapshot_seq(),
        applied: *report.verdict.index.as_ref().unwrap_or(&u64::MAX),
        logged: Logged::default(),
        owners: HashMap::new(),
        has_gap: false,
        report,
    };
    browse(&parts.readable_log, reader.snapshot, &mut |found| {
        reader.visit(found);
        Ok(())
    })?;
    let Reader { logged, has_gap, .. } = reader;
    // What browsing did not come upon: files that are gone, cut short, of another store.
    if let Err(why) = &report.verdict.opens
        && parts.manifest.is_ok()
        && report.verdict.index.is_ok()
        && !has_gap
    {
        let finding = report.broken(&store.closed.layout().wal(), why.clone(), None);
        report.tell(finding);
    }
    tell_of_torn_tail(store, report);
    Ok(logged)
}

fn tell_of_torn_tail(store: &Offline, report: &mut Report<'_>) {
    let Some(end) = report.verdict.end.as_ref().filter(|_| report.verdict.opens.is_ok()) else { return };
    let Some(newest) = end.torn else { return };
    let what = format!(
        "the log ends with commit {}; behind it stand parts of commits up to {newest}, cut off when program or machine died",
        end.last_seq
    );
    let meaning = "none of them was ever known to be durable; opening the store cuts them off";
    let wal = store.closed.layout().wal();
    report.tell(Finding::new(Severity::Note, &wal, what, meaning, "nothing needs to be done"));
}

struct Reader<'a, 'b> {
    snapshot: u64,
    applied: u64,
    logged: Logged,
    /// The version of the newest owner record of each process.
    owners: HashMap<Key, u64>,
    has_gap: bool,
    report: &'a mut Report<'b>,
}

impl Reader<'_, '_> {
    fn visit(&mut self, found: Found<'_>) {
        match found {
            Found::Commit { seq, entry, at } => self.commit(seq, entry, &at),
            Found::Gap { at, after, until } => self.gap(&at, after, until),
            // The gap behind it is told of.
            Found::Begun { .. } => {}
        }
    }

    fn gap(&mut self, at: &Spot, after: u64, until: u64) {
        let is_behind_end = self.report.verdict.opens.is_ok()
            && self.report.verdict.end.as_ref().is_some_and(|end| after >= end.last_seq);
        if is_behind_end || until <= self.snapshot {
            return;
        }
        let what = match until - after {
            0 => "there is something that is no part of the log".to_owned(),
            1 => format!("commit {until} cannot be read"),
            _ => format!("commits {} to {until} cannot be read", after + 1),
        };
        self.has_gap = true;
        let spare = self.report.verdict.opens.is_ok().then_some("the index");
        let finding = self.report.broken(&at.path, what, spare).at(at.offset);
        self.report.tell(finding);
    }

    fn commit(&mut self, seq: u64, entry: &[u8], at: &Spot) {
        self.report.count_commit(seq);
        let Some(entry) = decode(entry) else {
            return self.wrong(seq, at, "its checksum is right and it does not decode".to_owned(), None);
        };
        self.check_messages(seq, &entry, at);
        self.check_owners(seq, &entry, at);
        let is_behind_end = self.report.verdict.end.as_ref().is_some_and(|end| seq > end.last_seq);
        if seq > self.snapshot && !is_behind_end {
            let part = if seq <= self.applied { &mut self.logged.applied } else { &mut self.logged.rest };
            part.add(seq, entry);
        }
    }

    fn check_messages(&mut self, seq: u64, entry: &Entry, at: &Spot) {
        for write in &entry.writes {
            let Some(payload) = &write.payload else { continue };
            let record = Record { key: write.key.clone(), version: seq, payload: payload.clone() };
            if let Err(why) = decode_message(&record) {
                self.wrong(seq, at, why, Some(&write.key));
            }
        }
    }

    /// Each owner record replaces the one before.
    fn check_owners(&mut self, seq: u64, entry: &Entry, at: &Spot) {
        for write in entry.writes.iter().filter(|write| write.key.kind() == Kind::Owner) {
            let version = write.payload.as_ref().map_or(0, |_| seq);
            let before = self.owners.insert(write.key.clone(), version);
            let replaces = write.replaces.unwrap_or(0);
            if before.is_some_and(|before| before != replaces && before != seq) {
                let what = format!("it replaces version {replaces} of an owner record, which was not there");
                self.wrong(seq, at, what, Some(&write.key));
            }
        }
    }

    fn wrong(&mut self, seq: u64, at: &Spot, what: String, key: Option<&Key>) {
        let what = format!("commit {seq}: {what}");
        let meaning = "it was written like that: other software, or a fault of this one";
        let finding = self.report.wrong(&at.path, what, meaning).at(at.offset);
        self.report.tell(match key {
            Some(key) => finding.of(key.describe()),
            None => finding,
        });
    }
}
