//! Runs a process on schedule: claims it, calls a [`Worker`] for each item,
//! shows life, and hands over in good order. [`Runner`] tells what operators can
//! steer and what a worker can do to the program.

mod builder;
mod context;
mod dispatch;
mod handle;
mod options;
mod outcome;
mod retry;
mod run_once;
mod schedule;
mod signal;
mod stop;
mod worker;

use std::fmt;
use std::sync::Arc;

pub use builder::RunnerBuilder;
pub use context::WorkContext;
pub use handle::RunnerHandle;
pub use outcome::Outcome;
pub use retry::Retry;
pub use stop::{Shutdown, Stopper};
pub use worker::{WorkResult, Worker};

#[cfg(feature = "tokio")]
pub(crate) use dispatch::flow_control::FlowControl;
#[cfg(feature = "tokio")]
pub(crate) use schedule::idle::alarm;
#[cfg(feature = "tokio")]
pub(crate) use schedule::planner::{Plan, Planner, Timing};
#[cfg(feature = "tokio")]
pub(crate) use schedule::setting::Scheduled;

use options::Options;
use stop::Shared;

use crate::error::Failure;
use crate::run::Instance;
use crate::store::ProcessHandle;

/// Calls a [`Worker`] for each item of one process.
///
/// A runner is one instance: any number of them, in one program or over its
/// restarts, may run the same process, and one at a time gets it.
///
/// # Who does what
///
/// Worker threads, as many as the concurrency says and as there is work for, take one
/// item after the other. The end of an item and the beginning of the next are one write,
/// and where items are short those of several share one: the end of an item may be stored
/// a few milliseconds after its worker returned. An item is
/// given to a worker only once the store has confirmed that the run is still the owner.
/// The thread of [`run_once`](Runner::run_once), or of the spawned runner, watches over
/// them: time limits, retries, shutdown, signs of life.
///
/// A runner with nothing to do reads nothing: it wakes when its next run is due, when
/// the process changes hands or its settings or work change, and within a second after
/// the wall clock was set or the machine was suspended. Runs that were missed are made up
/// for by one.
///
/// # Flow control
///
/// Operators steer a runner through settings of the process, whole numbers that
/// may change at any time; a run sees them at its next write. They override the
/// builder.
///
/// | setting | |
/// |---|---|
/// | `flow.paused` | not 0: no new items are begun; the run stays and shows life |
/// | `flow.concurrency` | how many items are worked on at once, 1 to 1024; below 1 it is ignored |
/// | `flow.itemsPerMinute` | how many items may begin in a minute; 0 or less: any number |
///
/// # What a worker can do to the program
///
/// - **It fails or panics**: an error of its item. Others go on.
/// - **It is silent** for the heartbeat timeout: the run lapses. It is left
///   unfinished, and the next instance that claims the process goes on with it,
///   beginning with the items that are not done. An item that hangs every time
///   thus holds up the others, unless there is an
///   [`item_timeout`](RunnerBuilder::item_timeout).
/// - **It ignores that it should stop**: after a grace its thread is left behind,
///   and nothing it calls has an effect any more. The run goes on with its other
///   threads, and is aborted if none is left. Up to 64 such threads are put up
///   with; beyond that the runner claims nothing until one returns.
///
/// # What it logs
///
/// `tracing` events carry `process` and `instance`, and those of an item `work` and
/// `attempt`: at level info claims, resumed runs, time-outs, runs that ended, were
/// aborted (and why) or handed back; at level debug each item that begins, each attempt
/// that failed, and when the next one follows.
pub struct Runner {
    handle: ProcessHandle,
    worker: Arc<dyn Worker>,
    instance: Instance,
    options: Arc<Options>,
    shared: Arc<Shared>,
}

impl Runner {
    fn new(handle: ProcessHandle, worker: Arc<dyn Worker>, instance: Instance, options: Options) -> Self {
        let shared = Arc::new(Shared::new(handle.store().inner.clock.clone()));
        Self { handle, worker, instance, options: Arc::new(options), shared }
    }

    /// The instance that the runner is.
    #[must_use]
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// A way to stop the runner from elsewhere.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper::new(self.shared.clone())
    }

    fn failure(&self, why: String) -> crate::Error {
        Failure::Runner { process: self.handle.name().to_owned(), why }.into()
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("process", &self.handle.name())
            .field("instance", &self.instance.id())
            .finish_non_exhaustive()
    }
}
