//! Collects findings, and words the consequence of each class.

use std::path::{Path, PathBuf};

use super::verified::Verified;
use crate::engine::policy::{OpenPlan, Verdict};
use crate::engine::wal::LogEnd;
use crate::recovery::files::inspection::Inspection;
use crate::recovery::files::offline::Offline;
use crate::recovery::finding::{Finding, Severity};

pub(super) struct Report<'a> {
    visit: &'a mut dyn FnMut(Finding),
    pub(super) verdict: Verdict,
    store: PathBuf,
    verified: Verified,
}

impl<'a> Report<'a> {
    pub(super) fn new(store: &Offline, inspection: &Inspection, visit: &'a mut dyn FnMut(Finding)) -> Self {
        let verdict = inspection.judge();
        let verified = Verified {
            refused: verdict.opens.as_ref().err().map(ToString::to_string),
            notes: 0,
            warnings: 0,
            damages: 0,
            last_seq: verdict.opens.as_ref().map_or(0, OpenPlan::last_seq),
            records: None,
            commits: 0,
            files: 0,
            bytes: 0,
        };
        Self { visit, verdict, store: store.closed.layout().root().to_owned(), verified }
    }

    pub(super) fn tell(&mut self, finding: Finding) {
        match finding.severity {
            Severity::Note => self.verified.notes += 1,
            Severity::Warning => self.verified.warnings += 1,
            Severity::Damage => self.verified.damages += 1,
        }
        (self.visit)(finding);
    }

    pub(super) fn count_commit(&mut self, seq: u64) {
        self.verified.commits += 1;
        if self.end().is_none() {
            self.verified.last_seq = self.verified.last_seq.max(seq);
        }
    }

    /// Returns the end of the log with which opening continues.
    pub(super) fn end(&self) -> Option<&LogEnd> {
        self.verdict.opens.as_ref().ok()?.log.as_ref()
    }

    /// Returns the newest commit of which anything was found.
    pub(super) fn newest_seq(&self) -> u64 {
        self.verified.last_seq
    }

    pub(super) fn set_records(&mut self, records: u64, seq: u64) {
        self.verified.records = Some(records);
        self.verified.last_seq = self.verified.last_seq.max(seq);
    }

    pub(super) fn finish(mut self, files: &[PathBuf], bytes: u64) -> Verified {
        (self.verified.files, self.verified.bytes) = (files.len() as u64, bytes);
        self.verified
    }

    /// Returns a finding for a file that is not part of the store.
    pub(super) fn left_over(&self, file: &Path, what: impl Into<String>) -> Finding {
        let (meaning, help) = match self.verdict.opens {
            Ok(_) => ("opening the store does without it", "it may be deleted"),
            Err(_) => (
                "opening the store would do without it",
                "keep it: `procstate salvage` may find missing records in it",
            ),
        };
        Finding::new(Severity::Note, file, what, meaning, help)
    }

    /// Returns a finding for an unknown file.
    pub(super) fn foreign(&self, file: &Path) -> Finding {
        let (what, meaning) = ("it is not a file of this store", "the store does without it");
        Finding::new(Severity::Note, file, what, meaning, "ask who put it there")
    }

    /// Returns a finding for damage; `spare` is the part that has the same content.
    pub(super) fn broken(&self, file: &Path, what: impl Into<String>, spare: Option<&str>) -> Finding {
        match spare {
            Some(spare) => Finding::new(
                Severity::Warning,
                file,
                what,
                format!("nothing is lost: {spare} has all that is needed"),
                format!(
                    "start the program, which repairs it, or run `procstate --db {} compact`",
                    self.store.display()
                ),
            ),
            None => Finding::new(
                Severity::Damage,
                file,
                what,
                "opening the store needs it: nothing else that opening reads has its content",
                self.get_it_back(),
            ),
        }
    }

    /// Returns a finding for a damaged record of how far the log is durable.
    pub(super) fn unnoted(&self, file: &Path, what: impl Into<String>) -> Finding {
        Finding::new(
            Severity::Warning,
            file,
            what,
            "the store opens without it; but the loss of the end of the log would go unnoticed",
            "start the program, which rewrites it",
        )
    }

    /// Returns a finding for intact data that is wrong.
    pub(super) fn wrong(&self, file: &Path, what: impl Into<String>, meaning: &str) -> Finding {
        Finding::new(Severity::Damage, file, what, meaning, self.get_it_back())
    }

    /// Returns the advice for a store that does not open.
    fn get_it_back(&self) -> String {
        let store = self.store.display();
        format!(
            "restore what was moved or deleted, or run `procstate restore BACKUP --into NEWDIR`, or `procstate --db {store} salvage --output NEWDIR` for everything still readable"
        )
    }
}
