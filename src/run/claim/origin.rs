//! Whether a run is new or resumed.

use jiff::Timestamp;

/// The origin of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A new run.
    New,
    /// A run that never finished and is resumed: start time, statistics and errors continue, and
    /// completed items are not repeated.
    Resumed {
        /// The previous owner; empty if its lock was released.
        from: String,
        /// When that instance claimed the process.
        since: Option<Timestamp>,
    },
}
