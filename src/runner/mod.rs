//! Runs a process on schedule: claims it, calls a [`Worker`] for each item, sends heartbeats, and
//! hands over gracefully. [`Runner`] describes what operators can control, and what a worker can do
//! to the program.

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
/// A runner is one instance: any number of them, in one program or across restarts, may run the
/// same process, and one at a time owns it.
///
/// # Threads
///
/// Worker threads, up to the concurrency and as many as there is work for, take one item after
/// another. The end of an item and the start of the next are one write, and short items of several
/// threads share one: the end of an item may be stored a few milliseconds after its worker
/// returned. An item is given to a worker only after the store has confirmed that the run is still
/// the owner. The thread of [`run_once`](Runner::run_once), or of the spawned runner, supervises
/// them: time limits, retries, shutdown, heartbeats.
///
/// An idle runner reads nothing: it wakes when its next run is due, when the process changes owners
/// or its settings or work change, and within a second after the wall clock was set or the machine
/// was suspended. One run makes up for missed ones.
///
/// # Flow control
///
/// Operators control a runner through settings of the process, integers that may change at any
/// time; a run sees them at its next write. They override the builder.
///
/// | setting | |
/// |---|---|
/// | `flow.paused` | not 0: no new items begin; the run stays alive |
/// | `flow.concurrency` | how many items are worked on at once, 1 to 1024; below 1 it is ignored |
/// | `flow.itemsPerMinute` | how many items may begin in a minute; 0 or less: any number |
///
/// # What a worker can do to the program
///
/// - **It fails or panics**: an error of its item. Others continue.
/// - **It is silent** for the heartbeat timeout: the run lapses. It is left unfinished, and
///   the next instance that claims the process resumes it, starting with the unfinished items.
///   An item that hangs every time thus blocks the others, unless there is an
///   [`item_timeout`](RunnerBuilder::item_timeout).
/// - **It ignores the request to stop**: after a grace period its thread is abandoned, and
///   its calls have no effect any more. The run continues with its other threads, and is
///   aborted if none is left. Up to 64 such threads are tolerated; beyond that the runner
///   claims nothing until one returns.
///
/// # Logging
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

    /// Returns the runner's instance.
    #[must_use]
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// Returns a handle that stops the runner from elsewhere.
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
