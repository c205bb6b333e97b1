//! Changes of a process that wait for the disk without a thread.

use std::time::Duration;

use super::call::call;
use super::synced::{ready, synced};
use crate::engine::Durability;
use crate::error::{Failure, Result};
use crate::proto::{Params, Status};
use crate::run::{Claim, ClaimOptions, Instance, Run};
use crate::store::{Effect, ProcessHandle, Tally};

/// The calls of a [`ProcessHandle`] that survive power loss once they return, as futures:
/// the same change, and another way to wait. Everything else, reads above all, is called on
/// the handle itself.
///
/// ```
/// use procstate::{Params, Store, tokio::AsyncProcess};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> procstate::Result<()> {
/// # let store = Store::in_memory();
/// let keys = AsyncProcess::new(&store.process("gckeys")?);
/// keys.register("project-1", Params::new().int("keysPerAccount", 8)).await?;
/// # Ok(())
/// # }
/// ```
///
/// Each blocks its thread for one buffered write, some microseconds, and then waits for a
/// sync that it shares with all others. On etcd it keeps no thread of the program: see
/// [what blocks](crate::tokio#what-blocks-and-for-how-long). Dropped, a future that was polled may have made its
/// change, or not; a change that was made survives the program's death, and power loss once
/// the next sync is through.
///
/// ```
/// use procstate::tokio::AsyncProcess;
/// use procstate::{Claim, ClaimOptions, Instance, Params, Store};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> procstate::Result<()> {
/// let store = Store::in_memory();
/// let keys = AsyncProcess::new(&store.process("gckeys")?);
/// keys.register("project-1", Params::new()).await?;
/// keys.set_params(Params::new().string("region", "eu")).await?;
/// // Any other change of the process.
/// keys.change(|keys| keys.pause()).await?;
/// keys.unregister("project-1").await?;
/// let Claim::Won(run) = keys.claim(&Instance::new(), &ClaimOptions::new()).await? else {
///     panic!("nobody else is here");
/// };
/// AsyncProcess::hand_back(run).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct AsyncProcess {
    buffered: ProcessHandle,
}

impl AsyncProcess {
    /// The async calls of `process`.
    #[must_use]
    pub fn new(process: &ProcessHandle) -> Self {
        Self { buffered: process.clone().with_durability(Durability::Buffered) }
    }

    /// As [`ProcessHandle::register`].
    ///
    /// # Errors
    ///
    /// As that.
    pub async fn register(&self, name: &str, params: Params) -> Result<Effect> {
        let name = name.to_owned();
        self.change(move |process| process.register(&name, params)).await
    }

    /// As [`ProcessHandle::unregister`].
    ///
    /// # Errors
    ///
    /// As that.
    pub async fn unregister(&self, name: &str) -> Result<Effect> {
        let name = name.to_owned();
        self.change(move |process| process.unregister(&name)).await
    }

    /// As [`ProcessHandle::set_params`].
    ///
    /// # Errors
    ///
    /// As that.
    pub async fn set_params(&self, params: Params) -> Result<Effect> {
        self.change(move |process| process.set_params(params)).await
    }

    /// As [`ProcessHandle::update_params`].
    ///
    /// # Errors
    ///
    /// As that.
    pub async fn update_params(&self, update: impl FnMut(&mut Params) + Send + 'static) -> Result<Effect> {
        self.change(move |process| process.update_params(update)).await
    }

    /// As [`ProcessHandle::set_schedule`].
    ///
    /// # Errors
    ///
    /// As that.
    pub async fn set_schedule(&self, every: Option<Duration>) -> Result<Effect> {
        self.change(move |process| process.set_schedule(every)).await
    }

    /// As [`ProcessHandle::register_all`], on a thread of the runtime for blocking calls:
    /// a thousand items take some milliseconds. Dropped, it goes on all the same.
    ///
    /// # Errors
    ///
    /// As that.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn register_all<I, N>(&self, items: I) -> Result<Tally>
    where
        I: IntoIterator<Item = (N, Params)> + Send + 'static,
        N: Into<String>,
    {
        self.blocking(move |process| process.register_all(items)).await
    }

    /// As [`ProcessHandle::sync_work`], on a thread of the runtime for blocking calls.
    /// Dropped, it goes on all the same.
    ///
    /// # Errors
    ///
    /// As that.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn sync_work<I, N>(&self, items: I) -> Result<Tally>
    where
        I: IntoIterator<Item = (N, Params)> + Send + 'static,
        N: Into<String>,
    {
        self.blocking(move |process| process.sync_work(items)).await
    }

    /// As [`ProcessHandle::claim_with`]. Dropped before it is ready, a claim that was won
    /// is given up again; a run that was claimed so is left unfinished when it is dropped,
    /// and the next claim goes on with it at once.
    ///
    /// # Errors
    ///
    /// As that.
    pub async fn claim(&self, instance: &Instance, options: &ClaimOptions) -> Result<Claim> {
        let (instance, options) = (instance.clone(), options.clone());
        self.change(move |process| process.claim_as(&instance, &options, Durability::Buffered).map(left))
            .await
    }

    /// As [`Run::finish`].
    ///
    /// # Errors
    ///
    /// As that.
    pub async fn finish(run: Run) -> Result<Status> {
        let store = run.process().store().clone();
        ready(&store).await?;
        let status = call(&store, move || run.finish_buffered()).await?;
        synced(&store).await?;
        Ok(status)
    }

    /// As [`Run::hand_back`].
    ///
    /// # Errors
    ///
    /// As that.
    pub async fn hand_back(run: Run) -> Result<()> {
        let store = run.process().store().clone();
        ready(&store).await?;
        call(&store, move || run.hand_back_buffered()).await?;
        synced(&store).await
    }

    /// Calls `change`, whose changes are buffered, and completes once they survive power
    /// loss: the async form of whatever is not here.
    ///
    /// # Errors
    ///
    /// What `change` answers; if the store was closed, or is
    /// [poisoned](crate::Error::is_poisoned).
    pub async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&ProcessHandle) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let store = self.buffered.store();
        ready(store).await?;
        let process = self.buffered.clone();
        let answer = call(store, move || change(&process)).await?;
        synced(store).await?;
        Ok(answer)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&ProcessHandle) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let process = self.buffered.clone();
        if process.store().inner.engine.is_networked() {
            return self.change(call).await;
        }
        let called = tokio::task::spawn_blocking(move || call(&process)).await;
        let answer = called.unwrap_or_else(|error| {
            let process = self.buffered.name().to_owned();
            Err(Failure::Runner { process, why: format!("its call did not end: {error}") }.into())
        })?;
        synced(self.buffered.store()).await?;
        Ok(answer)
    }
}

/// A claim that is given up when it is dropped.
pub(super) fn left(mut claim: Claim) -> Claim {
    if let Claim::Won(run) = &mut claim {
        run.leave_when_dropped();
    }
    claim
}
