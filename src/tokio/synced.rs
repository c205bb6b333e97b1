//! Waits for the disk without a thread.

use std::future::poll_fn;
use std::time::Duration;

use crate::error::Result;
use crate::store::Store;

/// The polling interval of a task under back-pressure.
const LOOK: Duration = Duration::from_millis(1);

/// Completes once every commit so far survives power loss.
///
/// One sync covers all waiting tasks and threads; waiting blocks neither a thread nor the runtime.
///
/// After [`Buffered`](crate::Durability::Buffered) calls, it is the async form of any
/// [`Synced`](crate::Durability::Synced) call, or of many at once:
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
/// Cancellation-safe: dropping the future reverts nothing.
///
/// # Errors
///
/// If the store was closed, or is [poisoned](crate::Error::is_poisoned).
pub async fn synced(store: &Store) -> Result<()> {
    let engine = &store.inner.engine;
    if engine.is_networked() {
        // Every acknowledged commit is already durable in the cluster.
        return engine.sync();
    }
    let seq = engine.last_seq();
    poll_fn(|cx| engine.poll_synced(seq, cx.waker())).await
}

/// Waits while there is back-pressure and commits would block.
pub(super) async fn ready(store: &Store) -> Result<()> {
    while !store.inner.engine.is_ready()? {
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
