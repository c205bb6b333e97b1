//! The result of reporting progress.

use jiff::Timestamp;

/// The result of [`Run::progress`](crate::Run::progress).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use = "a run that has lost its process must stop"]
pub enum Progress {
    /// Too early since the last write; nothing was written.
    None,
    /// The progress is stored.
    Updated,
    /// The progress is stored, and settings or work changed concurrently: the run now sees the new
    /// ones.
    Merged,
    /// Another instance has claimed the process. Nothing was written, and no later write of this
    /// run will succeed: stop.
    Conflict,
    /// Errors have stopped the run: finish it.
    Aborted,
}

/// The new owner of a process that a run has lost.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loss {
    /// The instance that owns the process now; empty if the lock was released or
    /// the process replaced.
    pub by: String,
    /// When it claimed the process.
    pub since: Option<Timestamp>,
}
