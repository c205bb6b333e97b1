//! Verifies the log: its files, frames and commits, and its changes since the newest snapshot.

use std::collections::HashMap;

use super::digest::Digest;
use super::report::Report;
use crate::engine::policy::{self, Refusal};
use crate::engine::wal::{Entry, Found, Logged, Spot, own_segments, walk};
use crate::error::Result;
use crate::record::{Key, Kind, Record};
use crate::recovery::files::inspection::Inspection;
use crate::recovery::files::offline::Offline;
use crate::recovery::finding::{Finding, Severity};
use crate::recovery::records::changes::Changes;
use crate::recovery::records::validate::decode as decode_message;

/// The log's changes after the newest snapshot.
#[derive(Default)]
pub(super) struct Behind {
    /// Up to the last commit in the index.
    pub(super) applied: Changes<Digest>,
    /// After that commit.
    pub(super) rest: Changes<Digest>,
}

pub(super) fn check(store: &Offline, inspection: &Inspection, report: &mut Report<'_>) -> Result<Behind> {
    for (path, why) in &inspection.wrong_log_files {
        let spare = report.verdict.opens.is_ok().then_some("the rest of the store");
        let finding = report.broken(path, why.clone(), spare);
        report.tell(finding);
    }
    let mut reader = Reader {
        snapshot: inspection.snapshot_seq(),
        applied: *report.verdict.index.as_ref().unwrap_or(&u64::MAX),
        behind: Behind::default(),
        owners: HashMap::new(),
        has_gap: false,
        report,
    };
    let log = own_segments(&inspection.readable_log, reader.report.end());
    walk(&log, reader.snapshot, &mut |found| {
        reader.visit(found);
        Ok(())
    })?;
    let Reader { behind, has_gap, .. } = reader;
    // Damage that browsing does not see: files that are gone, truncated, or of another store.
    if let Err(Refusal::Log { fault, .. }) = &report.verdict.opens
        && !has_gap
    {
        let finding = report.broken(&store.closed.layout().wal(), fault.to_string(), None);
        report.tell(finding);
    }
    tell_of_torn_tail(store, report);
    Ok(behind)
}

fn tell_of_torn_tail(store: &Offline, report: &mut Report<'_>) {
    let Some(end) = report.end() else { return };
    let Some(newest) = end.torn else { return };
    let last = end.last_seq;
    let behind =
        if newest > last { format!("parts of commits up to {newest}") } else { "unreadable data".to_owned() };
    let what = format!(
        "the log ends with commit {last}; after it there are {behind}, cut off when the program or machine died"
    );
    let meaning = "none of this was ever known to be durable; opening the store removes it";
    let wal = store.closed.layout().wal();
    report.tell(Finding::new(Severity::Note, &wal, what, meaning, "nothing needs to be done"));
}

struct Reader<'a, 'b> {
    snapshot: u64,
    applied: u64,
    behind: Behind,
    /// The version of each owner record, 0 for none, and the commit that set it.
    owners: HashMap<Key, (u64, u64)>,
    has_gap: bool,
    report: &'a mut Report<'b>,
}

impl Reader<'_, '_> {
    fn visit(&mut self, found: Found<'_>) {
        match found {
            Found::Commit { seq, entry, at } => self.commit(seq, entry, &at),
            Found::Gap { at, after, until } => self.gap(&at, after, until),
            // The gap after it is reported.
            Found::Begun { .. } => {}
        }
    }

    fn gap(&mut self, at: &Spot, after: u64, until: u64) {
        // Missing commits may have replaced any of them.
        self.owners.clear();
        if self.report.end().is_some_and(|end| after >= end.last_seq) {
            return;
        }
        self.has_gap = true;
        let spare = self.report.verdict.opens.is_ok().then_some("the index");
        let finding = self.report.broken(&at.path, policy::gap(after, until), spare).at(at.offset);
        self.report.tell(finding);
    }

    fn commit(&mut self, seq: u64, entry: &[u8], at: &Spot) {
        self.report.count_commit(seq);
        let Some(entry) = Entry::decode(entry) else {
            return self.wrong(seq, at, "its checksum matches, but it does not decode", None);
        };
        for write in entry.writes() {
            self.check(seq, &write, at);
        }
        let is_behind_end = self.report.end().is_some_and(|end| seq > end.last_seq);
        if seq > self.snapshot && !is_behind_end {
            let Behind { applied, rest } = &mut self.behind;
            let part = if seq <= self.applied { applied } else { rest };
            part.add(seq, entry.writes());
        }
    }

    fn check(&mut self, seq: u64, write: &Logged, at: &Spot) {
        if let Some(payload) = &write.payload {
            let record = Record { key: write.key.clone(), version: seq, payload: payload.clone() };
            if let Err(why) = decode_message(&record) {
                self.wrong(seq, at, &why, Some(&write.key));
            }
        }
        if write.key.kind() == Kind::Owner {
            self.check_owner(seq, write, at);
        }
    }

    /// Checks that an owner record replaces its predecessor.
    fn check_owner(&mut self, seq: u64, write: &Logged, at: &Spot) {
        let version = write.payload.as_ref().map_or(0, |_| seq);
        let before = self.owners.insert(write.key.clone(), (version, seq));
        let replaces = write.replaces.unwrap_or(0);
        // A commit that deletes and recreates it names the previous version both times.
        if before.is_some_and(|(before, at)| before != replaces && at != seq) {
            let what = format!("it replaces version {replaces} of an owner record, which did not exist");
            self.wrong(seq, at, &what, Some(&write.key));
        }
    }

    fn wrong(&mut self, seq: u64, at: &Spot, what: &str, key: Option<&Key>) {
        let what = format!("commit {seq}: {what}");
        let meaning = "it was written this way: by other software, or because of a bug in this one";
        let finding = self.report.wrong(&at.path, what, meaning).at(at.offset);
        self.report.tell(match key {
            Some(key) => finding.of(key.describe()),
            None => finding,
        });
    }
}
