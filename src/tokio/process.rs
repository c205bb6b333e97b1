//! Changes of a process that wait for the disk without a thread.

use std::time::Duration;

use super::call::call;
use super::synced::{ready, synced};
use crate::engine::Durability;
use crate::error::{Failure, Result};
use crate::proto::{Params, Status};
use crate::run::{Claim, ClaimOptions, Instance, Run};
use crate::store::{Effect, ProcessHandle, Tally};

/// The calls of a [`ProcessHandle`] that survive power loss once they return, as futures that
/// differ only in how they wait.
///
/// Everything else, above all reads, is called on the handle itself.
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
/// Each call blocks its thread for one buffered write, some microseconds, and then waits for a
/// shared sync. On etcd, it occupies no thread of the program: see
/// [what blocks](crate::tokio#what-blocks-and-for-how-long). If a polled future is dropped, its
/// change may or may not be made; a change that was made survives a crash of the program, and power
/// loss after the next sync.
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
/// // Any other change.
/// keys.change(|keys| keys.pause()).await?;
/// keys.unregister("project-1").await?;
/// let Claim::Won(run) = keys.claim(&Instance::new(), &ClaimOptions::new()).await? else {
///     panic!("no other instance holds the process");
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
    /// Returns the async calls of `process`.
    #[must_use]
    pub fn new(process: &ProcessHandle) -> Self {
        Self { buffered: process.clone().with_durability(Durability::Buffered) }
    }

    /// Registers work; see [`ProcessHandle::register`].
    ///
    /// # Errors
    ///
    /// As the blocking call.
    pub async fn register(&self, name: &str, params: Params) -> Result<Effect> {
        let name = name.to_owned();
        self.change(move |process| process.register(&name, params)).await
    }

    /// Unregisters work; see [`ProcessHandle::unregister`].
    ///
    /// # Errors
    ///
    /// As the blocking call.
    pub async fn unregister(&self, name: &str) -> Result<Effect> {
        let name = name.to_owned();
        self.change(move |process| process.unregister(&name)).await
    }

    /// Replaces the parameters; see [`ProcessHandle::set_params`].
    ///
    /// # Errors
    ///
    /// As the blocking call.
    pub async fn set_params(&self, params: Params) -> Result<Effect> {
        self.change(move |process| process.set_params(params)).await
    }

    /// Changes the parameters; see [`ProcessHandle::update_params`].
    ///
    /// # Errors
    ///
    /// As the blocking call.
    pub async fn update_params(&self, update: impl FnMut(&mut Params) + Send + 'static) -> Result<Effect> {
        self.change(move |process| process.update_params(update)).await
    }

    /// Sets the schedule; see [`ProcessHandle::set_schedule`].
    ///
    /// # Errors
    ///
    /// As the blocking call.
    pub async fn set_schedule(&self, every: Option<Duration>) -> Result<Effect> {
        self.change(move |process| process.set_schedule(every)).await
    }

    /// Registers many items on a thread for blocking calls; see [`ProcessHandle::register_all`].
    ///
    /// A thousand items take some milliseconds. Dropping the future does not stop it.
    ///
    /// # Errors
    ///
    /// As the blocking call.
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

    /// Replaces the active work on a thread for blocking calls; see [`ProcessHandle::sync_work`].
    ///
    /// Dropping the future does not stop it.
    ///
    /// # Errors
    ///
    /// As the blocking call.
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

    /// Claims the process; see [`ProcessHandle::claim_with`].
    ///
    /// Dropping the future gives up a claim that was won. Dropping a run that was claimed this way
    /// leaves it unfinished, and the next claim resumes it at once.
    ///
    /// # Errors
    ///
    /// As the blocking call.
    pub async fn claim(&self, instance: &Instance, options: &ClaimOptions) -> Result<Claim> {
        let (instance, options) = (instance.clone(), options.clone());
        self.change(move |process| process.claim_as(&instance, &options, Durability::Buffered).map(left))
            .await
    }

    /// Finishes a run; see [`Run::finish`].
    ///
    /// # Errors
    ///
    /// As the blocking call.
    pub async fn finish(run: Run) -> Result<Status> {
        let store = run.process().store().clone();
        ready(&store).await?;
        let status = call(&store, move || run.finish_buffered()).await?;
        synced(&store).await?;
        Ok(status)
    }

    /// Hands a run back; see [`Run::hand_back`].
    ///
    /// # Errors
    ///
    /// As the blocking call.
    pub async fn hand_back(run: Run) -> Result<()> {
        let store = run.process().store().clone();
        ready(&store).await?;
        call(&store, move || run.hand_back_buffered()).await?;
        synced(&store).await
    }

    /// Calls `change`, whose writes are buffered, and completes once they survive power loss: the
    /// async form of all other changes.
    ///
    /// # Errors
    ///
    /// Any error of `change`; if the store was closed, or is [poisoned](crate::Error::is_poisoned).
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
            Err(Failure::Runner { process, why: format!("its call failed: {error}") }.into())
        })?;
        synced(self.buffered.store()).await?;
        Ok(answer)
    }
}

/// Makes a claim give up its run when dropped.
pub(super) fn left(mut claim: Claim) -> Claim {
    if let Claim::Won(run) = &mut claim {
        run.leave_when_dropped();
    }
    claim
}
