//! How the work on a run ends.

use std::ops::Deref;
use std::sync::Arc;

use crate::error::{Error, Failure, Result};
use crate::run::{Loss, Run, WorkItem};
use crate::runner::Outcome;
use crate::store::Store;
use crate::tokio::call::call;
use crate::tokio::synced::{ready, synced};

/// The run of a dispatcher, shared with calls that may outlive the dispatcher. Dropping it leaves the
/// run unfinished and prevents further writes by those calls.
pub(crate) struct OwnedRun(Arc<Run>);

impl OwnedRun {
    pub(crate) fn new(run: Run) -> Self {
        Self(Arc::new(run))
    }

    pub(crate) fn share(&self) -> Arc<Run> {
        self.0.clone()
    }
}

impl Deref for OwnedRun {
    type Target = Run;

    fn deref(&self) -> &Run {
        &self.0
    }
}

impl Drop for OwnedRun {
    fn drop(&mut self) {
        self.0.leave();
    }
}

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
    run: OwnedRun,
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
    let (ending, is_handed_back) = (run.share(), matches!(end, End::HandBack));
    let ended = call(store, move || {
        if is_handed_back {
            return ending.hand_back_buffered().map(|()| Outcome::HandedBack);
        }
        ending.finish_buffered().map(Outcome::Finished)
    })
    .await;
    drop(unfinished);
    let outcome = ended.or_else(|error| match loss_of(&error) {
        Some(loss) => Ok(Outcome::Lost(loss)),
        None => Err(error),
    })?;
    synced(store).await?;
    Ok(outcome)
}
