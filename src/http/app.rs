//! The state shared by the handlers.

use std::sync::Arc;

use tokio::sync::watch;

use super::dashboard::Dashboard;
use super::events::Hub;
use super::exchange::calls::Calls;
use super::exchange::problem::Answer;
use super::metrics::Metrics;
use crate::{ProcessHandle, Store};

/// The state shared by the handlers.
#[derive(Clone)]
pub(super) struct App {
    pub(super) store: Store,
    pub(super) calls: Calls,
    pub(super) events: Arc<Hub>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) dashboard: Arc<Dashboard>,
    /// Becomes true when streaming responses must end.
    pub(super) closes: watch::Receiver<bool>,
}

impl App {
    /// Runs `call` on a process.
    pub(super) async fn on<T: Send + 'static>(
        &self,
        name: String,
        call: impl FnOnce(ProcessHandle) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        let store = self.store.clone();
        self.calls.run(move || call(store.process(&name)?)).await
    }
}
