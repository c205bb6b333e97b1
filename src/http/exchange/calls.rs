//! Runs blocking store calls off the threads that serve connections.

use std::sync::Arc;

use axum::http::StatusCode;
use tokio::sync::Semaphore;
use tokio::task;

use super::problem::{Answer, Problem};

/// Limits concurrent calls.
///
/// A call whose client is gone continues, and counts until it ends.
#[derive(Debug, Clone)]
pub(crate) struct Calls {
    permits: Arc<Semaphore>,
}

impl Calls {
    pub(crate) fn new(max: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(max)) }
    }

    /// Runs `call`.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        let ended = |_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the server is shutting down");
        let permit = self.permits.clone().acquire_owned().await.map_err(ended)?;
        let called = task::spawn_blocking(move || {
            let answer = call();
            drop(permit);
            answer
        });
        called.await.unwrap_or_else(|error| {
            let detail = format!("the call failed: {error}");
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail))
        })
    }
}
