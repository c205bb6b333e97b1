//! The handle of a run.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::advance::queue::Advance;
use super::claim::origin::Origin;
use super::fenced::FencedRun;
use super::item::{Ending, WorkItem};
use super::progress::{Loss, Progress};
use crate::engine::Durability;
use crate::error::Result;
use crate::proto::{Params, Status};
use crate::store::ProcessHandle;

/// A run that this instance owns.
///
/// It ends with [`finish`](Run::finish), [`abort`](Run::abort) or [`hand_back`](Run::hand_back).
/// Dropping it (a panic, an early return) finishes the run as aborted, as far as possible. After a
/// crash of the program the next claim resumes it.
///
/// ```
/// use procstate::{Claim, Instance, Params, Store};
///
/// let store = Store::in_memory();
/// let keys = store.process("gckeys")?;
/// keys.register("project-1", Params::new().int("keysPerAccount", 8))?;
///
/// let Claim::Won(mut run) = keys.claim(&Instance::new())? else { panic!("no other instance holds the process") };
/// while let Some(mut work) = run.next_work()? {
///     work.add_stat("keysRemoved", 2.0);
/// }
/// let status = run.finish()?;
/// assert_eq!(status.stats["work.keysRemoved"], 2.0);
/// # Ok::<(), procstate::Error>(())
/// ```
///
/// ```
/// use procstate::{Claim, Instance, Origin, Params, Progress, Store};
///
/// let keys = Store::in_memory().process("gckeys")?;
/// keys.register("project-1", Params::new())?;
/// let Claim::Won(mut run) = keys.claim(&Instance::named("collector"))? else { panic!("no other instance holds the process") };
/// assert_eq!(run.origin(), &Origin::New);
/// println!("{} works under the fencing token {}", run.instance(), run.token());
///
/// while let Some(work) = run.next_work()? {
///     if run.is_lapsed() {
///         break; // another instance may take over: stop at once
///     }
///     println!("{}: {:?} until the next heartbeat is due", work.name(), run.lapses_in());
///     work.finish()?;
/// }
/// run.add_error("the region was not reachable");
/// if run.progress_now()? == Progress::Conflict {
///     println!("lost to {:?}", run.loss());
/// } else if run.status().total_errors > 5 {
///     run.abort("too many errors")?;
/// } else {
///     run.hand_back()?; // the next instance resumes it
/// }
/// # Ok::<(), procstate::Error>(())
/// ```
pub struct Run {
    fenced: Arc<FencedRun>,
    origin: Origin,
    /// Whether dropping it leaves the run unfinished.
    is_left_when_dropped: bool,
}

/// The result of advancing.
#[derive(Debug)]
pub(crate) struct Advanced {
    /// The next items; fewer than requested if there are no more, or the run takes no more.
    pub(crate) items: Vec<WorkItem>,
    /// Whether the settings changed with the ends, and may say that nothing is to begin: ask again.
    pub(crate) has_new_settings: bool,
}

impl Run {
    pub(super) fn new(fenced: Arc<FencedRun>, origin: Origin) -> Self {
        Self { fenced, origin, is_left_when_dropped: false }
    }

    /// Returns the process.
    #[must_use]
    pub fn process(&self) -> &ProcessHandle {
        &self.fenced.handle
    }

    /// Returns the id of the instance that owns the run.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.fenced.instance
    }

    /// Returns the fencing token, which increases with every claim of the process.
    ///
    /// Pass it to other systems that the run writes to, so that they can refuse an earlier owner.
    #[must_use]
    pub fn token(&self) -> u64 {
        self.fenced.token()
    }

    /// Returns whether this is a new run or a resumed one.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Returns the parameters of the process, as of the run's last write.
    #[must_use]
    pub fn settings(&self) -> Params {
        self.fenced.lock().params()
    }

    /// Returns the status of the run so far.
    #[must_use]
    pub fn status(&self) -> Status {
        self.fenced.lock().status().clone()
    }

    /// Returns the next work item: active items in name order, then those to clean up; `None` at
    /// the end, or if the run is aborted or stopped by its
    /// [limit](crate::ClaimOptions::max_failed_items).
    ///
    /// Items registered during the run wait for the next run; unregistered items are skipped.
    /// Several items may be in progress at the same time, in different threads; one that is
    /// unregistered while in progress is cleaned up by the next run, unless it ends before this
    /// run's cleanup.
    /// turn comes.
    ///
    /// # Errors
    ///
    /// [`is_conflict`](crate::Error::is_conflict) if the run has lost the process; if the store
    /// cannot be read or written.
    pub fn next_work(&mut self) -> Result<Option<WorkItem>> {
        Ok(self.advance(Vec::new(), 1)?.items.pop())
    }

    /// Stores the ends of items and begins up to `takes` others, in one commit that concurrent
    /// threads share.
    ///
    /// If an end cannot be stored, no other item begins.
    pub(crate) fn advance(&self, ends: Vec<Ending>, takes: usize) -> Result<Advanced> {
        let ends = ends.into_iter().map(|end| (end.id, end.how)).collect();
        let granted = self.fenced.advance(Advance { ends, takes })?;
        let item = |taken| WorkItem::new(self.fenced.clone(), taken);
        Ok(Advanced {
            items: granted.items.into_iter().map(item).collect(),
            has_new_settings: granted.has_new_settings,
        })
    }

    /// Adds `value` to the counter `label` of the run, stored with the next progress.
    ///
    /// A label may have 256 bytes, a run 1,000 labels, and the store's own labels in a run (`runs`,
    /// `state.…`, `work.…` and so on) are reserved. A statistic that violates a limit, or is not
    /// finite, is not counted; the first one in a run is recorded as an error with the reason.
    pub fn add_stat(&self, label: &str, value: f64) {
        self.fenced.add_stat(label, value);
    }

    /// Counts an error of the run as a whole, stored with the next progress.
    ///
    /// A run with such an error ends incomplete.
    pub fn add_error(&self, text: impl AsRef<str>) {
        self.fenced.run_error(text.as_ref());
    }

    /// Reports progress: stores the status of the run and of its items in progress, unless that was
    /// done within the progress interval.
    ///
    /// It is also the run's heartbeat.
    ///
    /// # Errors
    ///
    /// If the store cannot be written. A lost process is not an error but [`Progress::Conflict`];
    /// [`loss`](Run::loss) then tells the new owner.
    pub fn progress(&self) -> Result<Progress> {
        self.fenced.progress(true)
    }

    /// Reports [`progress`](Run::progress) regardless of the progress interval.
    ///
    /// # Errors
    ///
    /// As [`progress`](Run::progress).
    pub fn progress_now(&self) -> Result<Progress> {
        self.fenced.progress(false)
    }

    /// Returns the new owner of the process, once the run knows that it lost it.
    #[must_use]
    pub fn loss(&self) -> Option<Loss> {
        self.fenced.lock().loss().cloned()
    }

    /// Reports whether another instance may have claimed the process because this run has sent no
    /// heartbeat for too long.
    ///
    /// It is true before any instance can have done so, and returns at once, even during a write.
    #[must_use]
    pub fn is_lapsed(&self) -> bool {
        self.fenced.is_lapsed()
    }

    /// Returns how long the run may go without progress before it lapses.
    #[must_use]
    pub fn lapses_in(&self) -> Duration {
        self.fenced.deadline().saturating_sub(self.fenced.monotonic())
    }

    /// Finishes the run: completed, incomplete if errors remain, aborted if they stopped it.
    ///
    /// Its statistics are added to the totals of the process. The end survives power loss once the
    /// call returns.
    ///
    /// # Errors
    ///
    /// [`is_conflict`](crate::Error::is_conflict) if the run has lost the process; if the store
    /// cannot be written.
    pub fn finish(self) -> Result<Status> {
        self.fenced.finish(Durability::Synced)
    }

    /// Finishes the run as aborted, with `reason` as an error.
    ///
    /// # Errors
    ///
    /// As [`finish`](Run::finish).
    pub fn abort(self, reason: impl AsRef<str>) -> Result<Status> {
        self.fenced.abort(reason.as_ref());
        self.fenced.finish(Durability::Synced)
    }

    /// Releases the process without finishing the run: the next instance that claims it resumes the
    /// run at once.
    ///
    /// # Errors
    ///
    /// As [`finish`](Run::finish); if the end of a dropped item could not be stored, in which case
    /// the process is handed back anyway.
    pub fn hand_back(self) -> Result<()> {
        self.fenced.hand_back(Durability::Synced)
    }

    /// Finishes the run without waiting for the disk.
    #[cfg(feature = "tokio")]
    pub(crate) fn finish_buffered(&self) -> Result<Status> {
        self.fenced.finish(Durability::Buffered)
    }

    /// Hands the run back without waiting for the disk.
    #[cfg(feature = "tokio")]
    pub(crate) fn hand_back_buffered(&self) -> Result<()> {
        self.fenced.hand_back(Durability::Buffered)
    }

    /// Stops writing and leaves the run unfinished, because it has lapsed.
    pub(crate) fn leave(&self) {
        self.fenced.leave();
    }

    /// Makes dropping the run leave it unfinished without a write; the next instance that claims
    /// the process resumes it at once.
    #[cfg(feature = "tokio")]
    pub(crate) fn leave_when_dropped(&mut self) {
        self.is_left_when_dropped = true;
    }

    /// Reports whether errors have stopped the run, or it is lost.
    pub(crate) fn is_over(&self) -> bool {
        self.fenced.is_over()
    }

    /// Reports whether the run takes no more items although there may be some.
    pub(crate) fn begins_no_more(&self) -> bool {
        self.fenced.heartbeat.begins_no_more()
    }

    /// Returns an integer setting, as of the run's last write.
    pub(crate) fn setting(&self, name: &str) -> Option<i64> {
        self.fenced.heartbeat.setting(name)
    }

    /// Returns how often the settings have changed since the claim.
    pub(crate) fn settings_version(&self) -> u64 {
        self.fenced.heartbeat.settings_version()
    }

    /// Finishes a run that threads share.
    pub(crate) fn finish_shared(&self) -> Result<Status> {
        self.fenced.finish(Durability::Synced)
    }

    /// Aborts a run that threads share.
    pub(crate) fn abort_shared(&self, reason: &str) -> Result<Status> {
        self.fenced.abort(reason);
        self.fenced.finish(Durability::Synced)
    }

    /// Hands back a run that threads share.
    pub(crate) fn hand_back_shared(&self) -> Result<()> {
        self.fenced.hand_back(Durability::Synced)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.is_left_when_dropped {
            self.fenced.leave();
        } else {
            self.fenced.end_dropped();
        }
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("process", &self.fenced.handle.name())
            .field("instance", &self.fenced.instance)
            .field("token", &self.fenced.token())
            .finish_non_exhaustive()
    }
}
