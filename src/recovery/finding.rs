//! What verifying a store finds.

use std::fmt;
use std::path::{Path, PathBuf};

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// Nothing is wrong with what the store holds.
    Note,
    /// Something is damaged, and another part of the store has the same: opening the
    /// store mends it, and nothing is lost.
    Warning,
    /// Something is damaged that nothing else in the store makes good: opening it is
    /// refused, or it would answer what was not written.
    Damage,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Damage => "damage",
        })
    }
}

/// Something that verifying a store found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// The file or folder.
    pub file: PathBuf,
    /// The byte of the file, where that can be told.
    pub offset: Option<u64>,
    /// The record, where it is about one.
    pub record: Option<String>,
    /// What is wrong.
    pub what: String,
    /// What that means for the data.
    pub meaning: String,
    /// What to do next.
    pub help: String,
}

impl Finding {
    pub(super) fn new(
        severity: Severity,
        file: &Path,
        what: impl Into<String>,
        meaning: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        let (what, meaning, help) = (what.into(), meaning.into(), help.into());
        Self { severity, file: file.to_owned(), offset: None, record: None, what, meaning, help }
    }

    pub(super) fn at(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }

    pub(super) fn of(mut self, record: impl Into<String>) -> Self {
        self.record = Some(record.into());
        self
    }
}
