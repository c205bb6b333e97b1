//! The result of verification.

/// The result of verification.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// Why opening the store is refused; `None` if it opens.
    pub refused: Option<String>,
    /// The number of findings of each severity.
    pub notes: u64,
    /// See [`Severity::Warning`](crate::recovery::Severity::Warning).
    pub warnings: u64,
    /// See [`Severity::Damage`](crate::recovery::Severity::Damage).
    pub damages: u64,
    /// The newest commit of the store.
    pub last_seq: u64,
    /// The number of records in the index, if it is readable. The log may add others.
    pub records: Option<u64>,
    /// The number of commits read from the log.
    pub commits: u64,
    /// The number of files of the store.
    pub files: u64,
    /// The total size of the files in bytes.
    pub bytes: u64,
}

impl Verified {
    /// Reports whether nothing is damaged.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.warnings == 0 && self.damages == 0 && self.refused.is_none()
    }
}
