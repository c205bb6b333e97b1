//! The user's work on an item, as a future.

pub(super) mod work;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::AsyncWork;
use crate::model::List;
use crate::runner::WorkResult;

/// Processes the work of a process item by item, as futures on a tokio runtime.
///
/// One worker serves all items.
///
/// Each item is a separate task. Work must be interruptible at any `await`, and repeatable: see the
/// [module](crate::tokio).
///
/// ```
/// use procstate::tokio::{AsyncRunner, AsyncWork, AsyncWorker};
/// use procstate::{Outcome, Params, Store, WorkResult};
/// use std::time::Duration;
///
/// struct Rotate;
///
/// impl AsyncWorker for Rotate {
///     async fn process(&self, work: AsyncWork) -> WorkResult {
///         for _ in 0..work.params().get_int("keysPerAccount").unwrap_or(1) {
///             tokio::time::sleep(Duration::from_millis(1)).await;
///             work.add_stat("keysRotated", 1.0);
///         }
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> procstate::Result<()> {
/// let store = Store::in_memory();
/// store.process("gckeys")?.register("project-1", Params::new().int("keysPerAccount", 8))?;
/// let runner = AsyncRunner::builder(&store, "gckeys").worker(Rotate).build()?;
/// let Outcome::Finished(status) = runner.run_once().await? else { panic!("no other instance holds the process") };
/// assert_eq!(status.stats["work.keysRotated"], 8.0);
/// # Ok(())
/// # }
/// ```
pub trait AsyncWorker: Send + Sync + 'static {
    /// Processes one active item. Write it as an `async fn`.
    ///
    /// # Errors
    ///
    /// An error is counted and kept with the item; the item is retried if it has attempts left, and
    /// otherwise ends incomplete. A panic is an error too, and ends the item as aborted without
    /// affecting others.
    fn process(&self, work: AsyncWork) -> impl Future<Output = WorkResult> + Send;

    /// Cleans up an unregistered item. On success the item moves to the dropped list. By default
    /// there is nothing to do.
    ///
    /// # Errors
    ///
    /// As [`process`](AsyncWorker::process); the item stays on the cleanup list for the next run.
    fn clean_up(&self, work: AsyncWork) -> impl Future<Output = WorkResult> + Send {
        let _ = work;
        async { Ok(()) }
    }
}

/// The future of a worker's call.
pub(super) type WorkFuture = Pin<Box<dyn Future<Output = WorkResult> + Send>>;

/// Any worker, as a function from an item to its future.
pub(super) type Start = Arc<dyn Fn(AsyncWork, List) -> WorkFuture + Send + Sync>;

/// Erases the type of a worker. The future calls nothing of the worker before it is polled.
pub(super) fn erase(worker: impl AsyncWorker) -> Start {
    let worker = Arc::new(worker);
    Arc::new(move |work, list| {
        let worker = worker.clone();
        Box::pin(async move {
            match list {
                List::Active => worker.process(work).await,
                List::Cleanup | List::Dropped => worker.clean_up(work).await,
            }
        })
    })
}

/// A function as a worker.
pub(super) struct FnWorker<F>(pub(super) F);

impl<F, Fut> AsyncWorker for FnWorker<F>
where
    F: Fn(AsyncWork) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = WorkResult> + Send,
{
    fn process(&self, work: AsyncWork) -> impl Future<Output = WorkResult> + Send {
        (self.0)(work)
    }
}
