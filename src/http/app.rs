//! What the handlers share.

use std::sync::Arc;

use tokio::sync::watch;

use super::dashboard::Dashboard;
use super::events::Hub;
use super::exchange::calls::Calls;
use super::exchange::problem::Answer;
use super::metrics::Metrics;
use crate::{ProcessHandle, Store};

/// What the handlers share.
#[derive(Clone)]
pub(super) struct App {
    pub(super) store: Store,
    pub(super) calls: Calls,
    pub(super) events: Arc<Hub>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) dashboard: Arc<Dashboard>,
    /// Turns true when answers without end are to end.
    pub(super) closes: watch::Receiver<bool>,
}

impl App {
    /// What `call` answers of a process.
    pub(super) async fn on<T: Send + 'static>(
        &self,
        name: String,
        call: impl FnOnce(ProcessHandle) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        let store = self.store.clone();
        self.calls.run(move || call(store.process(&name)?)).await
    }
}
