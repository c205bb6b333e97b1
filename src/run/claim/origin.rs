//! Whether a run is new.

use jiff::Timestamp;

/// Where a run comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// It is a new run.
    New,
    /// It goes on with a run that never finished: start, statistics and errors
    /// continue, and items that it completed are not done again.
    Resumed {
        /// The instance that had it; empty if its lock was released.
        from: String,
        /// When that instance took the process over.
        since: Option<Timestamp>,
    },
}
