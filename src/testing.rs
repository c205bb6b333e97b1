//! Tests a worker without a store, threads or real waiting.
//!
//! ```
//! use procstate::{Params, WorkContext, WorkResult, Worker, testing};
//!
//! struct Rotate;
//!
//! impl Worker for Rotate {
//!     fn process(&self, work: &mut WorkContext) -> WorkResult {
//!         let keys = work.params().get_int("keys").ok_or("no keys")?;
//!         work.add_stat("rotated", keys as f64);
//!         Ok(())
//!     }
//! }
//!
//! let outcome = testing::run(Rotate, "project-1", Params::new().int("keys", 8));
//! assert!(outcome.is_completed());
//! assert_eq!(outcome.stats["rotated"], 8.0);
//! let outcome = testing::run(Rotate, "project-1", Params::new());
//! assert_eq!(outcome.errors, ["no keys"]);
//! ```
//!
//! To inspect a worker afterwards, pass it as an `Arc`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::{Clock, ManualClock};
use crate::error::Result;
use crate::model::List;
use crate::proto::{Params, RunError, State, Status};
use crate::runner::{Outcome, Retry, Runner, WorkContext, WorkResult, Worker};
use crate::store::{ProcessHandle, Store};

/// The name of the item's process.
const PROCESS: &str = "test";

/// Processes one item once with `worker`, in a store in memory.
pub fn run(worker: impl Worker, name: &str, params: Params) -> TestOutcome {
    TestRun::new(name, params).process(worker)
}

/// Cleans up one item once with `worker`, in a store in memory.
///
/// ```
/// use procstate::testing::clean_up;
/// use procstate::{WorkContext, WorkResult, Worker};
///
/// struct Rotate;
///
/// impl Worker for Rotate {
///     fn process(&self, _: &mut WorkContext) -> WorkResult {
///         Ok(())
///     }
///
///     fn clean_up(&self, work: &mut WorkContext) -> WorkResult {
///         work.add_stat("keysRemoved", 8.0);
///         Ok(())
///     }
/// }
///
/// let outcome = clean_up(Rotate, "project-1");
/// assert!(outcome.is_completed());
/// assert_eq!(outcome.stats["keysRemoved"], 8.0);
/// ```
pub fn clean_up(worker: impl Worker, name: &str) -> TestOutcome {
    TestRun::new(name, Params::new()).clean_up(worker)
}

/// A configurable run on one item; see [`run`].
///
/// Waits before retries take no real time: the clock of the run advances by them while no worker is
/// being called. During a call it stands still.
///
/// ```
/// use procstate::{Params, Retry, testing::TestRun};
/// use std::time::Duration;
///
/// # struct Flaky;
/// # impl procstate::Worker for Flaky {
/// #     fn process(&self, work: &mut procstate::WorkContext) -> procstate::WorkResult {
/// #         if work.attempt() < 3 { Err("not yet".into()) } else { Ok(()) }
/// #     }
/// # }
/// let retry = Retry::attempts(3).initial(Duration::from_secs(60)).max_backoff(Duration::from_secs(3600));
/// let outcome = TestRun::new("project-1", Params::new()).retry(retry).process(Flaky);
/// assert_eq!(outcome.attempts, 3);
/// assert!(outcome.waited >= Duration::from_secs(60 + 120));
/// ```
///
/// ```
/// use procstate::testing::TestRun;
/// use procstate::{ManualClock, Params, WorkContext, WorkResult, Worker};
///
/// struct Rotate;
///
/// impl Worker for Rotate {
///     fn process(&self, _: &mut WorkContext) -> WorkResult {
///         Ok(())
///     }
/// }
///
/// let clock = ManualClock::new("2026-11-23T12:00:00Z".parse()?);
/// assert!(TestRun::new("project-1", Params::new()).clock(&clock).process(Rotate).is_completed());
/// assert!(TestRun::new("project-1", Params::new()).clean_up(Rotate).is_completed());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct TestRun {
    name: String,
    params: Params,
    settings: Params,
    retry: Retry,
    clock: ManualClock,
}

/// The result of a run on one item.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TestOutcome {
    /// The final state: completed, incomplete with errors left, or aborted after a panic.
    pub state: State,
    /// The worker's statistics, by label.
    pub stats: BTreeMap<String, f64>,
    /// The first ten of its errors.
    pub errors: Vec<String>,
    /// How often the worker was called.
    pub attempts: u32,
    /// How long the run waited between attempts, on its own clock.
    pub waited: Duration,
    /// Whether the item is on the dropped list, because it was cleaned up or dropped by its worker.
    pub is_dropped: bool,
}

impl TestOutcome {
    /// Reports whether the item completed without errors left.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        self.state == State::Completed
    }
}

impl TestRun {
    /// Creates a run on one item.
    pub fn new(name: &str, params: Params) -> Self {
        Self {
            name: name.to_owned(),
            params,
            settings: Params::new(),
            retry: Retry::default(),
            clock: ManualClock::new(Timestamp::UNIX_EPOCH),
        }
    }

    /// Sets the parameters of the process.
    pub fn settings(mut self, settings: Params) -> Self {
        self.settings = settings;
        self
    }

    /// Sets whether and how soon the item is retried. Default: never.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Sets the clock of the run, for a worker that reads or advances it.
    ///
    /// Default: a clock that starts at the Unix epoch.
    pub fn clock(mut self, clock: &ManualClock) -> Self {
        self.clock = clock.clone();
        self
    }

    /// Processes the item with `worker`.
    pub fn process(self, worker: impl Worker) -> TestOutcome {
        self.outcome(worker, List::Active)
    }

    /// Cleans up the item with `worker`.
    pub fn clean_up(self, worker: impl Worker) -> TestOutcome {
        self.outcome(worker, List::Cleanup)
    }

    fn outcome(self, worker: impl Worker, list: List) -> TestOutcome {
        let calls = Arc::new(Calls::default());
        let began = self.clock.monotonic();
        let ended = self.run(worker, list, &calls);
        TestOutcome {
            attempts: calls.attempts.load(Ordering::SeqCst),
            waited: self.clock.monotonic().saturating_sub(began),
            ..ended.unwrap_or_else(|error| failed(error.to_string()))
        }
    }

    fn run(&self, worker: impl Worker, list: List, calls: &Arc<Calls>) -> Result<TestOutcome> {
        let clock = TestClock { clock: self.clock.clone(), calls: calls.clone() };
        let store = Store::builder().clock(clock).in_memory();
        let process = store.process(PROCESS)?;
        process.set_params(self.settings.clone())?;
        process.register(&self.name, self.params.clone())?;
        if list == List::Cleanup {
            process.unregister(&self.name)?;
        }
        let outcome = Runner::builder(&store, PROCESS)
            .worker(Counted { worker, calls: calls.clone() })
            .retry(self.retry.clone())
            .progress_interval(BEAT)
            .heartbeat_timeout(NEVER)
            .run_once()?;
        match outcome {
            Outcome::Finished(status) => self.ended(&process, status),
            other => Ok(failed(format!("the run did not finish: {other:?}"))),
        }
    }

    fn ended(&self, process: &ProcessHandle, run: Status) -> Result<TestOutcome> {
        let response = process.work(&self.name)?;
        let (is_dropped, state) = (response.state == "dropped", run.state());
        let of_work =
            |(label, value): (&String, &f64)| Some((label.strip_prefix("work.")?.to_owned(), *value));
        let stats = run.stats.iter().filter_map(of_work).collect();
        let status = response.details.and_then(|work| work.status);
        let state = status.as_ref().map_or(state, Status::state);
        let errors = texts(status.unwrap_or(run).errors);
        Ok(TestOutcome { state, stats, errors, attempts: 0, waited: Duration::ZERO, is_dropped })
    }
}

fn texts(errors: Vec<RunError>) -> Vec<String> {
    errors.into_iter().map(|error| error.text).collect()
}

fn failed(why: String) -> TestOutcome {
    TestOutcome {
        state: State::Unspecified,
        stats: BTreeMap::new(),
        errors: vec![why],
        attempts: 0,
        waited: Duration::ZERO,
        is_dropped: false,
    }
}

/// An unlimited heartbeat timeout: on this clock a call takes no time.
const NEVER: Duration = Duration::from_secs(1000 * 365 * 24 * 3600);

/// The interval of heartbeats, also while an item is on its way to a worker: such a wait must not
/// advance the clock.
const BEAT: Duration = Duration::from_secs(500 * 365 * 24 * 3600);

#[derive(Debug, Default)]
struct Calls {
    attempts: AtomicU32,
    in_progress: AtomicUsize,
}

/// A worker whose calls are counted.
struct Counted<W> {
    worker: W,
    calls: Arc<Calls>,
}

/// Counts a call as in progress until it returns or panics.
struct Call<'a>(&'a Calls);

impl<'a> Call<'a> {
    fn begin(calls: &'a Calls) -> Self {
        calls.attempts.fetch_add(1, Ordering::SeqCst);
        calls.in_progress.fetch_add(1, Ordering::SeqCst);
        Self(calls)
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.in_progress.fetch_sub(1, Ordering::SeqCst);
    }
}

impl<W: Worker> Worker for Counted<W> {
    fn process(&self, work: &mut WorkContext) -> WorkResult {
        let _call = Call::begin(&self.calls);
        self.worker.process(work)
    }

    fn clean_up(&self, work: &mut WorkContext) -> WorkResult {
        let _call = Call::begin(&self.calls);
        self.worker.clean_up(work)
    }
}

/// A clock that advances by requested waits while no worker is being called.
#[derive(Debug)]
struct TestClock {
    clock: ManualClock,
    calls: Arc<Calls>,
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    fn longest_sleep(&self, remaining: Duration) -> Duration {
        // A wait of this length is one for a silent worker.
        let is_between_calls = self.calls.in_progress.load(Ordering::SeqCst) == 0;
        if is_between_calls && remaining < NEVER / 4 {
            self.clock.advance(remaining);
            return Duration::ZERO;
        }
        self.clock.longest_sleep(remaining)
    }
}
