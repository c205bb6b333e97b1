//! What became of a run.

use jiff::Timestamp;

use crate::proto::Status;
use crate::run::Loss;

/// How [`Runner::run_once`](crate::Runner::run_once) ended.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// The run came to its end; its status says how.
    Finished(Status),
    /// The runner was asked to stop and handed the run back unfinished.
    HandedBack,
    /// The runner was asked to stop before it claimed the process.
    Stopped,
    /// Another instance is on the process.
    Held {
        /// The id of that instance.
        by: String,
        /// When it took the process over.
        since: Option<Timestamp>,
        /// When it may be taken over if it shows no more life.
        until: Timestamp,
    },
    /// No run is due yet.
    NotDue {
        /// When the next one is.
        at: Timestamp,
    },
    /// Another instance took the process over during the run, or its lock was
    /// released.
    Lost(Loss),
    /// No worker showed life for the heartbeat timeout. The run was left
    /// unfinished, for whoever claims the process next.
    Lapsed,
}
