//! How the work on a run ends.

use crate::error::{Error, Failure};
use crate::run::Loss;

/// How the work on a run ends.
#[derive(Debug)]
pub(crate) enum End {
    /// The run must be finished.
    Done,
    HandBack,
    Lost(Loss),
    Lapsed,
    /// No usable thread is left.
    Stuck,
    Failed(Error),
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        loss_of(&error).map_or_else(|| Self::Failed(error), Self::Lost)
    }
}

pub(crate) fn loss_of(error: &Error) -> Option<Loss> {
    match error.failure() {
        Failure::Conflict { by, since, .. } => Some(Loss { by: by.clone(), since: *since }),
        _ => None,
    }
}
