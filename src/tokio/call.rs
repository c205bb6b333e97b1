//! Calls of a store that may wait for a network.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use tokio::sync::oneshot;

use crate::error::{Failure, Result};
use crate::store::Store;

/// Makes a call of `store`: here and now, unless it waits for a network. Then a thread of the
/// store's own makes it, and none of the program's waits. Dropped, it goes on all the same.
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
        // Whoever asked may have gone.
        let _ = tell.send(catch_unwind(AssertUnwindSafe(call)));
    }))?;
    match hear.await {
        Ok(answer) => answer.unwrap_or_else(|payload| resume_unwind(payload)),
        // It was not made any more.
        Err(_) => Err(Failure::Closed.into()),
    }
}
