//! The user's work on an item.

use std::error::Error;
use std::sync::Arc;

use super::WorkContext;

/// The result of a worker. Any error type converts into it with `?` or `into()`.
pub type WorkResult = Result<(), Box<dyn Error + Send + Sync>>;

/// Processes the work of a process item by item.
///
/// One worker serves all items, with concurrent calls if the runner has a concurrency above 1.
///
/// Work must be repeatable: an item interrupted by a crash is processed from its beginning when the
/// run is resumed.
///
/// ```
/// use procstate::{Outcome, Params, Runner, Store, WorkContext, WorkResult, Worker};
///
/// struct Rotate;
///
/// impl Worker for Rotate {
///     fn process(&self, work: &mut WorkContext) -> WorkResult {
///         for _ in 0..work.params().get_int("keysPerAccount").unwrap_or(1) {
///             work.add_stat("keysRotated", 1.0);
///             let _ = work.progress()?;
///             if work.should_stop() {
///                 return Err("stopped".into());
///             }
///         }
///         Ok(())
///     }
/// }
///
/// let store = Store::in_memory();
/// store.process("gckeys")?.register("project-1", Params::new().int("keysPerAccount", 8))?;
/// let Outcome::Finished(status) = Runner::builder(&store, "gckeys").worker(Rotate).run_once()? else {
///     panic!("no other instance holds the process");
/// };
/// assert_eq!(status.stats["work.keysRotated"], 8.0);
/// # Ok::<(), procstate::Error>(())
/// ```
pub trait Worker: Send + Sync + 'static {
    /// Processes one active item.
    ///
    /// # Errors
    ///
    /// An error is counted and kept with the item; the item is retried if it has attempts left, and
    /// otherwise ends incomplete. A panic is an error too, and ends the item as aborted without
    /// affecting others.
    fn process(&self, work: &mut WorkContext) -> WorkResult;

    /// Cleans up an unregistered item. On success the item moves to the dropped list. By default
    /// there is nothing to do.
    ///
    /// # Errors
    ///
    /// As [`process`](Worker::process); the item stays on the cleanup list for the next run.
    fn clean_up(&self, work: &mut WorkContext) -> WorkResult {
        let _ = work;
        Ok(())
    }
}

/// A worker shared with other code.
impl<W: Worker + ?Sized> Worker for Arc<W> {
    fn process(&self, work: &mut WorkContext) -> WorkResult {
        (**self).process(work)
    }

    fn clean_up(&self, work: &mut WorkContext) -> WorkResult {
        (**self).clean_up(work)
    }
}

/// A function as a worker.
pub(super) struct FnWorker<F>(pub(super) F);

impl<F> Worker for FnWorker<F>
where
    F: Fn(&mut WorkContext) -> WorkResult + Send + Sync + 'static,
{
    fn process(&self, work: &mut WorkContext) -> WorkResult {
        (self.0)(work)
    }
}
