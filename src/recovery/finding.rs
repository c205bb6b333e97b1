//! The findings of verification.

use std::fmt;
use std::path::{Path, PathBuf};

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// The data is intact.
    Note,
    /// Something is damaged, but another part of the store has the same content: opening the store
    /// repairs it, and nothing is lost.
    Warning,
    /// Something is damaged without another copy in the store: opening is refused, or would
    /// return wrong data.
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

/// A finding of verification.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// The file or folder.
    pub file: PathBuf,
    /// The offset in the file, if known.
    pub offset: Option<u64>,
    /// The affected record, if any.
    pub record: Option<String>,
    /// What is wrong.
    pub what: String,
    /// The consequence for the data.
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
