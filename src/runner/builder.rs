//! Builds a runner.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::dispatch::flow_control::{CONCURRENCY_MAX, FlowControl};
use super::options::Options;
use super::schedule::planner::Timing;
use super::schedule::setting::Scheduled;
use super::worker::{FnWorker, Worker};
use super::{Outcome, Retry, Runner, RunnerHandle, WorkContext, WorkResult};
use crate::engine::Durability;
use crate::error::{Error, Result};
use crate::model::FailureLimit;
use crate::run::{ClaimOptions, Instance};
use crate::store::Store;

/// The options of a [`Runner`]; see [`Runner::builder`].
///
/// ```
/// use procstate::{Durability, FailureLimit, Params, Runner, Store};
/// use std::time::Duration;
///
/// let store = Store::in_memory();
/// store.process("gckeys")?.register("project-1", Params::new())?;
/// let runner = Runner::builder(&store, "gckeys")
///     .label("collector")
///     .every(Duration::from_secs(86_400))
///     .offset(Duration::from_secs(7200)) // at 02:00 UTC
///     .min_interval(Duration::from_secs(3600))
///     .jitter(Duration::from_secs(60))
///     .seed(1)
///     .rest(Duration::from_secs(1))
///     .items_per_minute(600)
///     .item_timeout(Duration::from_secs(30))
///     .beat_by_itself(true)
///     .stop_grace(Duration::from_secs(5))
///     .progress_interval(Duration::from_secs(2))
///     .heartbeat_timeout(Duration::from_secs(60))
///     .progress_durability(Durability::Buffered)
///     .max_failed_items(FailureLimit::Share(0.5))
///     .skip_completed(false)
///     .worker_fn(|work| {
///         if work.attempt() > 1 {
///             work.add_error(format!("{} needs another attempt", work.name()));
///         }
///         work.drop_when_done();
///         Ok(())
///     })
///     .build()?;
/// println!("{} runs", runner.instance().id());
/// runner.run_once()?;
/// # Ok::<(), procstate::Error>(())
/// ```
#[must_use]
pub struct RunnerBuilder {
    store: Store,
    process: String,
    schedule: Scheduled,
    worker: Option<Arc<dyn Worker>>,
    label: Option<String>,
    options: Options,
}

impl Runner {
    /// Returns the options of a runner of `process`.
    pub fn builder(store: &Store, process: &str) -> RunnerBuilder {
        RunnerBuilder::new(store, process)
    }
}

impl RunnerBuilder {
    fn new(store: &Store, process: &str) -> Self {
        Self {
            store: store.clone(),
            process: process.to_owned(),
            schedule: Scheduled::default(),
            worker: None,
            label: None,
            options: Options {
                claim: ClaimOptions::new(),
                flow: FlowControl { is_paused: false, concurrency: 1, items_per_minute: None },
                retry: Retry::default(),
                item_timeout: None,
                stop_grace: Duration::from_secs(10),
                beats_by_itself: false,
                beat_interval: Duration::ZERO,
                timing: Timing::default(),
            },
        }
    }

    /// Sets the schedule of the process, creating it if needed.
    ///
    /// Without a schedule here the process keeps its own, and must exist.
    ///
    /// Time is divided into slots of one period, counted from the Unix epoch in UTC. A run is due
    /// if none has begun in the current slot: with a period of a day, each day at 00:00 UTC. One
    /// run makes up for missed slots. A run is also due if settings or work have changed since the
    /// last one began.
    ///
    /// A run that begins late in a slot may be followed by one early in the next: begun at 23:59,
    /// due again at 00:00. See [`offset`](RunnerBuilder::offset),
    /// [`min_interval`](RunnerBuilder::min_interval), and `cron` for times in a time zone.
    pub fn every(mut self, period: Duration) -> Self {
        self.schedule.every = Some(period);
        self
    }

    /// Moves the slots of [`every`](RunnerBuilder::every) by `offset`, which must be below the
    /// period: `every` a day with an offset of two hours is due at 02:00 UTC.
    pub fn offset(mut self, offset: Duration) -> Self {
        self.schedule.offset = offset;
        self
    }

    /// Sets a cron schedule, creating the process if needed; see
    /// [`ProcessHandle::set_cron`](crate::ProcessHandle::set_cron).
    ///
    /// ```
    /// # use procstate::{Runner, Store};
    /// # let store = Store::in_memory();
    /// let runner = Runner::builder(&store, "gckeys")
    ///     .cron("30 4 * * *", "Europe/Berlin")
    ///     .worker_fn(|_| Ok(()))
    ///     .build()?;
    /// # Ok::<(), procstate::Error>(())
    /// ```
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
    pub fn worker(mut self, worker: impl Worker) -> Self {
        self.worker = Some(Arc::new(worker));
        self
    }

    /// Sets a function as the worker, without cleanup.
    ///
    /// ```
    /// # use procstate::{Runner, Store};
    /// # use std::time::Duration;
    /// # let store = Store::in_memory();
    /// let runner = Runner::builder(&store, "gckeys")
    ///     .every(Duration::from_secs(3600))
    ///     .worker_fn(|work| {
    ///         work.add_stat("keysRemoved", 2.0);
    ///         Ok(())
    ///     })
    ///     .spawn()?;
    /// # Ok::<(), procstate::Error>(())
    /// ```
    pub fn worker_fn<F>(self, work: F) -> Self
    where
        F: Fn(&mut WorkContext) -> WorkResult + Send + Sync + 'static,
    {
        self.worker(FnWorker(work))
    }

    /// Sets the prefix of the instance id, for people to recognize.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Sets how many items are processed at once, 1 to 1024. Default: 1.
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

    /// Sets the time limit of an attempt. Default: none.
    ///
    /// After that the attempt has failed with "timed out", and its worker is told to stop. Once the
    /// worker has returned, the item is retried if it has attempts left.
    ///
    /// The limit does not replace heartbeats: a worker that is silent for the heartbeat timeout
    /// loses the run, unless the runner [sends heartbeats by
    /// itself](RunnerBuilder::beat_by_itself).
    pub fn item_timeout(mut self, timeout: Duration) -> Self {
        self.options.item_timeout = Some(timeout);
        self
    }

    /// Sets how long a worker may continue after it was told to stop, before the runner abandons
    /// its thread and ends the item as aborted. Default: 10 s.
    pub fn stop_grace(mut self, grace: Duration) -> Self {
        self.options.stop_grace = grace;
        self
    }

    /// Sets whether the runner sends heartbeats while workers are silent, for items with long
    /// silent calls. Default: only the [`progress`](WorkContext::progress) of workers is a
    /// heartbeat.
    ///
    /// The runner stops while an item exceeds its time limit, so that a wedged worker does not look
    /// alive forever; this needs an [`item_timeout`](RunnerBuilder::item_timeout).
    pub fn beat_by_itself(mut self, beats: bool) -> Self {
        self.options.beats_by_itself = beats;
        self
    }

    /// Sets the minimum time between two writes of progress. Default: 1 s, and at most half the
    /// heartbeat timeout.
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
    pub fn progress_durability(mut self, durability: Durability) -> Self {
        self.options.claim = self.options.claim.progress_durability(durability);
        self
    }

    /// Sets how many items may fail before a run stops. Default: unlimited.
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

    /// Builds the runner without starting it; only its schedule, if any, is stored.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](Error::is_invalid) if an option is invalid or there is no worker;
    /// [`is_not_found`](Error::is_not_found) if the process does not exist and no schedule was
    /// given; if the store cannot be written.
    pub fn build(mut self) -> Result<Runner> {
        let worker = self.worker.take().ok_or_else(|| Error::argument("a runner needs a worker"))?;
        self.check()?;
        self.options.beat_interval = self.options.claim.beat_interval();
        let handle = self.store.process(&self.process)?;
        self.schedule.store(&handle)?;
        let instance = self.label.as_deref().map_or_else(Instance::new, Instance::named);
        Ok(Runner::new(handle, worker, instance, self.options))
    }

    /// Starts the runner on a thread of its own, where it claims the process whenever a run is due,
    /// until it is stopped.
    ///
    /// # Errors
    ///
    /// As [`build`](RunnerBuilder::build); if no thread can be started.
    pub fn spawn(self) -> Result<RunnerHandle> {
        self.build()?.spawn()
    }

    /// Makes one run, if one is due and the process is not held.
    ///
    /// # Errors
    ///
    /// As [`build`](RunnerBuilder::build) and [`Runner::run_once`].
    pub fn run_once(self) -> Result<Outcome> {
        self.build()?.run_once()
    }

    fn check(&self) -> Result<()> {
        let (options, refuse) = (&self.options, |why: &str| Err(Error::argument(why)));
        if !(1..=CONCURRENCY_MAX).contains(&options.flow.concurrency) {
            return refuse("the concurrency of a runner must be from 1 to 1024");
        }
        if options.item_timeout.is_some_and(|timeout| timeout.is_zero()) {
            return refuse("the item timeout of a runner must be above zero");
        }
        if options.beats_by_itself && options.item_timeout.is_none() {
            return refuse("a runner that beats by itself needs an item timeout");
        }
        options.claim.check()
    }
}

impl fmt::Debug for RunnerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunnerBuilder")
            .field("process", &self.process)
            .field("every", &self.schedule.every)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
