//! Builds an async runner.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use super::options::{CONCURRENCY_MAX, Options};
use super::worker::{FnWorker, Start, erase};
use super::{AsyncRunner, AsyncRunnerHandle, AsyncWork, AsyncWorker};
use crate::engine::Durability;
use crate::error::{Error, Result};
use crate::model::FailureLimit;
use crate::run::{ClaimOptions, Instance};
use crate::runner::{FlowControl, Retry, Scheduled, Timing, WorkResult};
use crate::store::Store;

/// The options of an [`AsyncRunner`]; see [`AsyncRunner::builder`].
///
/// ```
/// use procstate::tokio::AsyncRunner;
/// use procstate::{Durability, FailureLimit, Params, Store};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> procstate::Result<()> {
/// let store = Store::in_memory();
/// store.process("gckeys")?.register("project-1", Params::new())?;
/// let runner = AsyncRunner::builder(&store, "gckeys")
///     .label("collector")
///     .every(Duration::from_secs(86_400))
///     .offset(Duration::from_secs(7200)) // at 02:00 UTC
///     .min_interval(Duration::from_secs(3600))
///     .jitter(Duration::from_secs(60))
///     .seed(1)
///     .rest(Duration::from_secs(1))
///     .items_per_minute(600)
///     .item_timeout(Duration::from_secs(30))
///     .cancel_grace(Duration::from_secs(1))
///     .stop_grace(Duration::from_secs(5))
///     .progress_interval(Duration::from_secs(2))
///     .heartbeat_timeout(Duration::from_secs(60))
///     .progress_durability(Durability::Buffered)
///     .max_failed_items(FailureLimit::Share(0.5))
///     .skip_completed(false)
///     .worker_fn(|work| async move {
///         if work.attempt() > 1 {
///             work.add_error(format!("{} needs another attempt", work.name()));
///         }
///         work.drop_when_done();
///         tokio::select! {
///             () = work.cancelled() => Err("cancelled".into()),
///             () = tokio::time::sleep(Duration::from_millis(1)) => Ok(()),
///         }
///     })
///     .build()?;
/// println!("{} runs", runner.instance().id());
/// runner.run_once().await?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct AsyncRunnerBuilder {
    store: Store,
    process: String,
    schedule: Scheduled,
    start: Option<Start>,
    label: Option<String>,
    durability: Durability,
    options: Options,
}

impl AsyncRunner {
    /// Returns the options of a runner of `process`.
    pub fn builder(store: &Store, process: &str) -> AsyncRunnerBuilder {
        AsyncRunnerBuilder::new(store, process)
    }
}

impl AsyncRunnerBuilder {
    fn new(store: &Store, process: &str) -> Self {
        Self {
            store: store.clone(),
            process: process.to_owned(),
            schedule: Scheduled::default(),
            start: None,
            label: None,
            durability: Durability::Buffered,
            options: Options {
                claim: ClaimOptions::new(),
                is_synced: false,
                flow: FlowControl { is_paused: false, concurrency: 1, items_per_minute: None },
                retry: Retry::default(),
                item_timeout: None,
                cancel_grace: Duration::ZERO,
                stop_grace: Duration::from_secs(10),
                beat_interval: Duration::ZERO,
                timing: Timing::default(),
            },
        }
    }

    /// Sets the schedule of the process, creating it if needed; see
    /// [`RunnerBuilder::every`](crate::RunnerBuilder::every).
    ///
    /// Without a schedule here the process keeps its own, and must exist.
    pub fn every(mut self, period: Duration) -> Self {
        self.schedule.every = Some(period);
        self
    }

    /// Moves the slots of [`every`](AsyncRunnerBuilder::every) by `offset`, which must be below the
    /// period.
    pub fn offset(mut self, offset: Duration) -> Self {
        self.schedule.offset = offset;
        self
    }

    /// Sets a cron schedule, creating the process if needed; see
    /// [`ProcessHandle::set_cron`](crate::ProcessHandle::set_cron).
    #[cfg(feature = "cron")]
    pub fn cron(mut self, expression: impl Into<String>, time_zone: impl Into<String>) -> Self {
        self.schedule.cron = Some((expression.into(), time_zone.into()));
        self
    }

    /// Sets the minimum time between the starts of two runs; see [`ClaimOptions::min_interval`].
    pub fn min_interval(mut self, interval: Duration) -> Self {
        self.options.claim = self.options.claim.min_interval(interval);
        self
    }

    /// Sets the worker.
    pub fn worker(mut self, worker: impl AsyncWorker) -> Self {
        self.start = Some(erase(worker));
        self
    }

    /// Sets a function as the worker, without cleanup.
    ///
    /// ```
    /// # use procstate::{Params, Store, tokio::AsyncRunner};
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> procstate::Result<()> {
    /// # let store = Store::in_memory();
    /// # store.process("gckeys")?.register("project-1", Params::new())?;
    /// let runner = AsyncRunner::builder(&store, "gckeys")
    ///     .concurrency(1000)
    ///     .worker_fn(|work| async move {
    ///         tokio::time::sleep(Duration::from_millis(1)).await;
    ///         work.add_stat("keysRemoved", 2.0);
    ///         Ok(())
    ///     })
    ///     .build()?;
    /// runner.run_once().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn worker_fn<F, Fut>(self, work: F) -> Self
    where
        F: Fn(AsyncWork) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = WorkResult> + Send + 'static,
    {
        self.worker(FnWorker(work))
    }

    /// Sets the prefix of the instance id, for people to recognize.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Sets how many items are processed at once, 1 to 65,536. Default: 1.
    ///
    /// Each item in progress takes a few KiB besides its own future.
    pub fn concurrency(mut self, items: usize) -> Self {
        self.options.flow.concurrency = items;
        self
    }

    /// Sets how many items may begin per minute, evenly spread. Default: unlimited.
    pub fn items_per_minute(mut self, items: u32) -> Self {
        self.options.flow.items_per_minute = (items > 0).then_some(items);
        self
    }

    /// Sets whether and how soon a failed item is retried within the run. Default: never.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.options.retry = retry;
        self
    }

    /// Sets the time limit of an attempt. Default: none, so that a future that never completes
    /// blocks the run forever.
    ///
    /// After that the attempt has failed with "timed out", and its future is dropped; once it is
    /// gone, the item is retried if it has attempts left.
    pub fn item_timeout(mut self, timeout: Duration) -> Self {
        self.options.item_timeout = Some(timeout);
        self
    }

    /// Sets how long a future may continue after its item was [cancelled](AsyncWork::cancelled),
    /// before it is dropped, for workers that shut down gracefully. Default: none; it is dropped at
    /// once.
    pub fn cancel_grace(mut self, grace: Duration) -> Self {
        self.options.cancel_grace = grace;
        self
    }

    /// Sets how long the runner waits for a dropped future that blocks its thread, before it
    /// abandons the future and ends the item as aborted. Default: 10 s.
    pub fn stop_grace(mut self, grace: Duration) -> Self {
        self.options.stop_grace = grace;
        self
    }

    /// Sets how often the runner stores statistics of workers and sends heartbeats. Default: 1 s,
    /// and at most a third of the heartbeat timeout.
    pub fn progress_interval(mut self, interval: Duration) -> Self {
        self.options.claim = self.options.claim.progress_interval(interval);
        self
    }

    /// Sets how long the runner counts as alive after the start of its last write; above zero.
    /// Default: three times the progress interval, at least 30 s.
    pub fn heartbeat_timeout(mut self, timeout: Duration) -> Self {
        self.options.claim = self.options.claim.heartbeat_timeout(timeout);
        self
    }

    /// Sets what progress and ends of items survive. Default: [`Buffered`](Durability::Buffered).
    ///
    /// With [`Synced`](Durability::Synced) the items that end and begin together share a sync, and
    /// no task starts before it completes.
    pub fn progress_durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets how many items may fail before a run stops. Default: unlimited.
    ///
    /// A [share](FailureLimit::Share) makes each claim count the active items on the polling
    /// thread, which takes about a second per million.
    pub fn max_failed_items(mut self, limit: FailureLimit) -> Self {
        self.options.claim = self.options.claim.max_failed_items(limit);
        self
    }

    /// Sets whether new runs skip completed items; see [`ClaimOptions::skip_completed`].
    pub fn skip_completed(mut self, skip: bool) -> Self {
        self.options.claim = self.options.claim.skip_completed(skip);
        self
    }

    /// Delays each scheduled run by a random time up to `longest`, but at most half the schedule's
    /// period, so that not all programs start at the same second. Default: none.
    pub fn jitter(mut self, longest: Duration) -> Self {
        self.options.timing.jitter = longest;
        self
    }

    /// Seeds the jitter, to make it reproducible.
    pub fn seed(mut self, seed: u64) -> Self {
        self.options.timing.seed = Some(seed);
        self
    }

    /// Sets the minimum time between two runs of this runner, which limits how often a process
    /// without a schedule, or with changed settings or work, runs. Default: 1 s.
    pub fn rest(mut self, rest: Duration) -> Self {
        self.options.timing.rest = rest;
        self
    }

    /// Builds the runner without starting it; only its schedule, if any, is stored, by a buffered
    /// write that does not wait for the disk.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](Error::is_invalid) if an option is invalid or there is no worker;
    /// [`is_not_found`](Error::is_not_found) if the process does not exist and no schedule was
    /// given; if the store cannot be written.
    pub fn build(mut self) -> Result<AsyncRunner> {
        let start = self.start.take().ok_or_else(|| Error::argument("a runner needs a worker"))?;
        self.check()?;
        self.options.beat_interval = self.options.claim.beat_interval();
        self.options.is_synced = self.durability == Durability::Synced;
        let handle = self.store.process(&self.process)?.with_durability(Durability::Buffered);
        self.schedule.store(&handle)?;
        let instance = self.label.as_deref().map_or_else(Instance::new, Instance::named);
        Ok(AsyncRunner::new(handle, start, instance, self.options))
    }

    /// Starts the runner as a task of the current runtime, where it claims the process whenever a
    /// run is due, until it is stopped.
    ///
    /// # Errors
    ///
    /// As [`build`](AsyncRunnerBuilder::build) and [`AsyncRunner::spawn`].
    pub fn spawn(self) -> Result<AsyncRunnerHandle> {
        self.build()?.spawn()
    }

    fn check(&self) -> Result<()> {
        let (options, refuse) = (&self.options, |why: &str| Err(Error::argument(why)));
        if !(1..=CONCURRENCY_MAX).contains(&options.flow.concurrency) {
            return refuse("the concurrency of an async runner must be from 1 to 65536");
        }
        if options.item_timeout.is_some_and(|timeout| timeout.is_zero()) {
            return refuse("the item timeout of a runner must be above zero");
        }
        options.claim.check()
    }
}

impl fmt::Debug for AsyncRunnerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncRunnerBuilder")
            .field("process", &self.process)
            .field("every", &self.schedule.every)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
