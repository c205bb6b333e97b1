//! What verifying a store came to.

/// What verifying a store came to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// Why opening the store is refused; `None` if it opens.
    pub refused: Option<String>,
    /// How many findings there are of each severity.
    pub notes: u64,
    /// See [`Severity::Warning`](crate::recovery::Severity::Warning).
    pub warnings: u64,
    /// See [`Severity::Damage`](crate::recovery::Severity::Damage).
    pub damages: u64,
    /// The newest commit that the store has.
    pub last_seq: u64,
    /// How many records the index has, if that can be read. The log behind it may have
    /// others.
    pub records: Option<u64>,
    /// How many commits of the log were read.
    pub commits: u64,
    /// How many files the store has.
    pub files: u64,
    /// And how many bytes.
    pub bytes: u64,
}

impl Verified {
    /// Whether nothing is damaged.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.warnings == 0 && self.damages == 0 && self.refused.is_none()
    }
}
