//! What a run hears when it says how far it is.

use jiff::Timestamp;

/// The answer to [`Run::progress`](crate::Run::progress).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use = "a run that has lost its process must stop"]
pub enum Progress {
    /// Too early since the last write; nothing was written.
    None,
    /// It is stored.
    Updated,
    /// It is stored, and the settings or work changed meanwhile: the run now sees
    /// the new ones.
    Merged,
    /// Another instance has taken the process over. Nothing was written, and
    /// nothing that this run does will be: stop.
    Conflict,
    /// Errors have stopped the run: finish it.
    Aborted,
}

/// Who took a process away from a run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loss {
    /// The instance that owns the process now; empty if the lock was released or
    /// the process replaced.
    pub by: String,
    /// Since when.
    pub since: Option<Timestamp>,
}
