//! Waiting for the disk without a thread.

use std::future::poll_fn;
use std::time::Duration;

use crate::error::Result;
use crate::store::Store;

/// How soon a task that may not write looks again.
const LOOK: Duration = Duration::from_millis(1);

/// Completes once every commit so far survives power loss. One sync serves all tasks and
/// threads that wait for one; no thread is held meanwhile, and the runtime is not blocked.
///
/// With [`Buffered`](crate::Durability::Buffered) calls before it, it is the async form of
/// any [`Synced`](crate::Durability::Synced) call, or of many at once:
///
/// ```
/// use procstate::{Durability, Params, Store, tokio::synced};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> procstate::Result<()> {
/// # let store = Store::in_memory();
/// let keys = store.process("gckeys")?.with_durability(Durability::Buffered);
/// for n in 0..10 {
///     keys.register(&format!("project-{n}"), Params::new())?;
/// }
/// synced(&store).await?;
/// # Ok(())
/// # }
/// ```
///
/// Cancellation-safe: dropped, it takes nothing back.
///
/// # Errors
///
/// If the store was closed, or is [poisoned](crate::Error::is_poisoned).
pub async fn synced(store: &Store) -> Result<()> {
    let engine = &store.inner.engine;
    if engine.is_networked() {
        // Whatever is acknowledged does.
        return engine.sync();
    }
    let seq = engine.last_seq();
    poll_fn(|cx| engine.poll_synced(seq, cx.waker())).await
}

/// Waits while the disk cannot keep up and commits would block.
pub(super) async fn ready(store: &Store) -> Result<()> {
    while !store.inner.engine.is_ready()? {
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
