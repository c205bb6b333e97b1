//! The outcome of a run.

use jiff::Timestamp;

use crate::proto::Status;
use crate::run::Loss;

/// The result of [`Runner::run_once`](crate::Runner::run_once).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// The run finished, with this status.
    Finished(Status),
    /// The runner was stopped, and handed the run back unfinished.
    HandedBack,
    /// The runner was stopped before it claimed the process.
    Stopped,
    /// Another instance holds the process.
    Held {
        /// The id of that instance.
        by: String,
        /// When it claimed the process.
        since: Option<Timestamp>,
        /// When it may be taken over unless it sends a heartbeat.
        until: Timestamp,
    },
    /// No run is due yet.
    NotDue {
        /// When the next run is due.
        at: Timestamp,
    },
    /// Another instance claimed the process during the run, or its lock was released.
    Lost(Loss),
    /// No worker sent a heartbeat within the timeout. The run was left unfinished for the next
    /// instance to resume.
    Lapsed,
}
