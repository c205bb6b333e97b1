//! The async runner.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::AsyncStopper;
use super::options::Options;
use super::stop::Shared;
use super::worker::Start;
use crate::clock::Clock;
use crate::error::{Error, Failure, Result};
use crate::run::Instance;
use crate::store::{ProcessHandle, Store};

/// Calls an [`AsyncWorker`](super::AsyncWorker) for each item of one process.
///
/// It differs from [`Runner`](crate::Runner) only in how it waits: see the [module](super).
pub struct AsyncRunner {
    pub(super) handle: ProcessHandle,
    pub(super) start: Start,
    pub(super) instance: Instance,
    pub(super) options: Options,
    pub(super) shared: Arc<Shared>,
}

impl AsyncRunner {
    pub(super) fn new(handle: ProcessHandle, start: Start, instance: Instance, options: Options) -> Self {
        let shared = Arc::new(Shared::new(handle.store().inner.clock.clone()));
        Self { handle, start, instance, options, shared }
    }

    /// Returns the runner's instance.
    #[must_use]
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// Returns a handle that stops the runner from elsewhere.
    #[must_use]
    pub fn stopper(&self) -> AsyncStopper {
        AsyncStopper::new(self.shared.clone())
    }

    pub(super) fn runtime(&self) -> Result<Handle> {
        Handle::try_current().map_err(|error| self.failure(format!("it needs a tokio runtime: {error}")))
    }

    pub(super) fn failure(&self, why: String) -> Error {
        Failure::Runner { process: self.handle.name().to_owned(), why }.into()
    }

    pub(super) fn store(&self) -> &Store {
        self.handle.store()
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.store().inner.clock
    }

    pub(super) fn monotonic(&self) -> Duration {
        self.clock().monotonic()
    }
}

impl fmt::Debug for AsyncRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncRunner")
            .field("process", &self.handle.name())
            .field("instance", &self.instance.id())
            .finish_non_exhaustive()
    }
}
