//! How the work on a run ends.

use crate::error::{Error, Failure, Result};
use crate::run::{Loss, Run, WorkItem};
use crate::runner::Outcome;
use crate::store::Store;
use crate::tokio::synced::{ready, synced};

pub(crate) enum End {
    /// The run must be finished.
    Done,
    HandBack,
    Lost(Loss),
    Lapsed,
    Failed(Error),
}

/// Continue, or end.
pub(crate) type StepResult<T = ()> = Result<T, End>;

impl From<Error> for End {
    fn from(error: Error) -> Self {
        loss_of(&error).map_or_else(|| Self::Failed(error), Self::Lost)
    }
}

fn loss_of(error: &Error) -> Option<Loss> {
    match error.failure() {
        Failure::Conflict { by, since, .. } => Some(Loss { by: by.clone(), since: *since }),
        _ => None,
    }
}

/// Writes the end of a run that this instance still owns, and waits until it survives power loss.
///
/// The `unfinished` items stay unchanged for the instance that resumes the run.
pub(crate) async fn conclude(
    // Dropped after the run, and therefore without a write.
    unfinished: Vec<WorkItem>,
    run: Run,
    end: End,
    store: &Store,
) -> Result<Outcome> {
    match end {
        End::Done | End::HandBack => {}
        End::Lost(loss) => return Ok(Outcome::Lost(loss)),
        End::Lapsed => return Ok(Outcome::Lapsed),
        End::Failed(error) => return Err(error),
    }
    ready(store).await?;
    let ended = match end {
        End::HandBack => run.hand_back_buffered().map(|()| Outcome::HandedBack),
        _ => run.finish_buffered().map(Outcome::Finished),
    };
    drop(unfinished);
    let outcome = ended.or_else(|error| match loss_of(&error) {
        Some(loss) => Ok(Outcome::Lost(loss)),
        None => Err(error),
    })?;
    synced(store).await?;
    Ok(outcome)
}
