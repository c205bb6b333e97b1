//! Calls of the store, which block, away from the threads that serve connections.

use std::sync::Arc;

use axum::http::StatusCode;
use tokio::sync::Semaphore;
use tokio::task;

use super::problem::{Answer, Problem};

/// Lets so many calls be on at once. A call that nobody waits for any more goes on, and
/// counts until it is over.
#[derive(Debug, Clone)]
pub(crate) struct Calls {
    permits: Arc<Semaphore>,
}

impl Calls {
    pub(crate) fn new(max: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(max)) }
    }

    /// What `call` answers.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        let ended = |_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the server is being shut down");
        let permit = self.permits.clone().acquire_owned().await.map_err(ended)?;
        let called = task::spawn_blocking(move || {
            let answer = call();
            drop(permit);
            answer
        });
        called.await.unwrap_or_else(|error| {
            let detail = format!("the call did not come to its end: {error}");
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail))
        })
    }
}
