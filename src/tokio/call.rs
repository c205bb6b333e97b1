//! Calls of a store that may wait for a network.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use tokio::sync::oneshot;

use crate::error::{Failure, Result};
use crate::store::Store;

/// Makes a call of `store`: here and now, or, if it waits for a network, on a thread of the store, so
/// that no thread of the program waits. If the future is dropped, the call continues.
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
        // The caller may be gone.
        let _ = tell.send(catch_unwind(AssertUnwindSafe(call)));
    }))?;
    match hear.await {
        Ok(answer) => answer.unwrap_or_else(|payload| resume_unwind(payload)),
        // The call was not made.
        Err(_) => Err(Failure::Closed.into()),
    }
}
