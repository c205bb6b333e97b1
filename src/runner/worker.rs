//! What users write: the work on one item.

use std::error::Error;
use std::sync::Arc;

use super::WorkContext;

/// What a worker answers. Any error type goes into it by `?` or `into()`.
pub type WorkResult = Result<(), Box<dyn Error + Send + Sync>>;

/// Does the work of a process, item by item. One worker serves all items, with
/// several calls at the same time if the runner has a concurrency above 1.
///
/// Work must bear being done again: an item whose run is cut short by a crash
/// is done from its beginning by whoever goes on with the run.
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
///     panic!("nobody else is here");
/// };
/// assert_eq!(status.stats["work.keysRotated"], 8.0);
/// # Ok::<(), procstate::Error>(())
/// ```
pub trait Worker: Send + Sync + 'static {
    /// Does the work of one active item.
    ///
    /// # Errors
    ///
    /// An error is counted and kept with the item; the item is tried again if
    /// the runner has attempts left for it, and else ends incomplete. A panic is
    /// an error too, ends the item as aborted, and disturbs no other.
    fn process(&self, work: &mut WorkContext) -> WorkResult;

    /// Undoes the work of an item that was unregistered. When this succeeds the
    /// item moves to the dropped list. By default there is nothing to undo.
    ///
    /// # Errors
    ///
    /// As [`process`](Worker::process); the item stays on the cleanup list for
    /// the next run.
    fn clean_up(&self, work: &mut WorkContext) -> WorkResult {
        let _ = work;
        Ok(())
    }
}

/// A worker that others have a hand on, too.
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
