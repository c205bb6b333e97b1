//! Calls of a store that may wait for a network.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use tokio::sync::oneshot;

use crate::error::{Failure, Result};
use crate::store::Store;

/// Makes a call of `store`: directly, or on a thread of the store if it waits for a network, so that
/// no thread of the program blocks. Dropping the future does not cancel the call.
pub(super) async fn call<T: Send + 'static>(
    store: &Store,
    call: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let engine = &store.inner.engine;
    if !engine.is_networked() {
        return call();
    }
    let (tell, hear) = oneshot::channel();
    engine.make(Box::new(move || {
        // The receiver may have been dropped.
        let _ = tell.send(catch_unwind(AssertUnwindSafe(call)));
    }))?;
    match hear.await {
        Ok(answer) => answer.unwrap_or_else(|payload| resume_unwind(payload)),
        // The store was closed before it made the call.
        Err(_) => Err(Failure::Closed.into()),
    }
}
