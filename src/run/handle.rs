//! The handle on a run.

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
/// It ends with [`finish`](Run::finish), [`abort`](Run::abort) or
/// [`hand_back`](Run::hand_back); a run that is dropped before (a panic, an early
/// return) is finished as aborted, as well as can be. After a crash of the
/// program the next claim goes on with it.
///
/// ```
/// use procstate::{Claim, Instance, Params, Store};
///
/// let store = Store::in_memory();
/// let keys = store.process("gckeys")?;
/// keys.register("project-1", Params::new().int("keysPerAccount", 8))?;
///
/// let Claim::Won(mut run) = keys.claim(&Instance::new())? else { panic!("nobody else is here") };
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
/// let Claim::Won(mut run) = keys.claim(&Instance::named("collector"))? else { panic!("nobody else is here") };
/// assert_eq!(run.origin(), &Origin::New);
/// println!("{} works under the fencing token {}", run.instance(), run.token());
///
/// while let Some(work) = run.next_work()? {
///     if run.is_lapsed() {
///         break; // another instance may take over: stop at once
///     }
///     println!("{}: {:?} left to show life", work.name(), run.lapses_in());
///     work.finish()?;
/// }
/// run.add_error("the region was not reachable");
/// if run.progress_now()? == Progress::Conflict {
///     println!("lost to {:?}", run.loss());
/// } else if run.status().total_errors > 5 {
///     run.abort("too many errors")?;
/// } else {
///     run.hand_back()?; // the next instance goes on with it
/// }
/// # Ok::<(), procstate::Error>(())
/// ```
pub struct Run {
    fenced: Arc<FencedRun>,
    origin: Origin,
    /// Dropped, it is left unfinished.
    is_left_when_dropped: bool,
}

/// What comes after the end of items.
#[derive(Debug)]
pub(crate) struct Advanced {
    /// The next items. Fewer than asked for: there are no more, or the run takes no more.
    pub(crate) items: Vec<WorkItem>,
    /// The settings have changed with the ends, and may say that nothing is to begin: ask
    /// again.
    pub(crate) has_new_settings: bool,
}

impl Run {
    pub(super) fn new(fenced: Arc<FencedRun>, origin: Origin) -> Self {
        Self { fenced, origin, is_left_when_dropped: false }
    }

    /// The process.
    #[must_use]
    pub fn process(&self) -> &ProcessHandle {
        &self.fenced.handle
    }

    /// The id of the instance that owns the run.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.fenced.instance
    }

    /// The fencing token: grows with every claim of the process. InFlight it to other
    /// systems that the run writes to, so that they can refuse an earlier owner.
    #[must_use]
    pub fn token(&self) -> u64 {
        self.fenced.token()
    }

    /// Whether this is a new run, or goes on with one that never finished.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The parameters of the process, as of the run's last write.
    #[must_use]
    pub fn settings(&self) -> Params {
        self.fenced.lock().params()
    }

    /// The status of the run so far.
    #[must_use]
    pub fn status(&self) -> Status {
        self.fenced.lock().status().clone()
    }

    /// The next work item: active items in name order, then those to clean up.
    /// `None` once there are no more, or the run is aborted or stopped by its
    /// [limit](crate::ClaimOptions::max_failed_items).
    ///
    /// Items that are registered while the run is on wait for the next run; an
    /// item that is unregistered meanwhile is skipped. Items may be handed to
    /// other threads and be in hand at the same time; one that is unregistered
    /// while in hand is cleaned up by the next run, unless it is done before its
    /// turn comes.
    ///
    /// # Errors
    ///
    /// [`is_conflict`](crate::Error::is_conflict) if the run has lost the
    /// process; if the store cannot be read or written.
    pub fn next_work(&mut self) -> Result<Option<WorkItem>> {
        Ok(self.advance(Vec::new(), 1)?.items.pop())
    }

    /// Stores the ends of items and begins up to `takes` others; all in one commit, which
    /// threads that call this at the same time share. If an end cannot be stored, no
    /// other item begins.
    pub(crate) fn advance(&self, ends: Vec<Ending>, takes: usize) -> Result<Advanced> {
        let ends = ends.into_iter().map(|end| (end.id, end.how)).collect();
        let granted = self.fenced.advance(Advance { ends, takes })?;
        let item = |taken| WorkItem::new(self.fenced.clone(), taken);
        Ok(Advanced {
            items: granted.items.into_iter().map(item).collect(),
            has_new_settings: granted.has_new_settings,
        })
    }

    /// Adds `value` to the counter `label` of the run. Stored with the next
    /// progress.
    ///
    /// A label has at most 256 bytes, a run 1000 labels, and what the store itself
    /// counts in a run (`runs`, `state.…`, `work.…` and so on) is reserved. A
    /// statistic that breaks a limit, or is not finite, is not counted; the first
    /// one in a run is an error of it that says why.
    pub fn add_stat(&self, label: &str, value: f64) {
        self.fenced.add_stat(label, value);
    }

    /// Counts an error of the run as a whole. Stored with the next progress; a run
    /// with such an error ends incomplete.
    pub fn add_error(&self, text: impl AsRef<str>) {
        self.fenced.run_error(text.as_ref());
    }

    /// Says how far the run is: stores its status and that of the items in hand,
    /// unless that was done less than the progress interval ago. It is also the
    /// run's sign of life.
    ///
    /// # Errors
    ///
    /// If the store cannot be written. Having lost the process is no error here
    /// but [`Progress::Conflict`]; [`loss`](Run::loss) then tells by whom.
    pub fn progress(&self) -> Result<Progress> {
        self.fenced.progress(true)
    }

    /// [`progress`](Run::progress) at once, however short ago the last one was.
    ///
    /// # Errors
    ///
    /// As [`progress`](Run::progress).
    pub fn progress_now(&self) -> Result<Progress> {
        self.fenced.progress(false)
    }

    /// Who took the process over, once the run has heard of it.
    #[must_use]
    pub fn loss(&self) -> Option<Loss> {
        self.fenced.lock().loss().cloned()
    }

    /// Whether another instance may have taken the process over because this run
    /// has shown no life for too long. True before anyone can have. Answers at
    /// once, also while progress is being written.
    #[must_use]
    pub fn is_lapsed(&self) -> bool {
        self.fenced.is_lapsed()
    }

    /// How long the run may still go without progress before it is lapsed.
    #[must_use]
    pub fn lapses_in(&self) -> Duration {
        self.fenced.deadline().saturating_sub(self.fenced.monotonic())
    }

    /// Ends the run: completed, incomplete if errors remain, aborted if they
    /// stopped it. Its statistics are added to the totals of the process.
    /// Survives power loss once the call returns.
    ///
    /// # Errors
    ///
    /// [`is_conflict`](crate::Error::is_conflict) if the run has lost the
    /// process; if the store cannot be written.
    pub fn finish(self) -> Result<Status> {
        self.fenced.finish(Durability::Synced)
    }

    /// Ends the run as aborted, with `reason` as an error of it.
    ///
    /// # Errors
    ///
    /// As [`finish`](Run::finish).
    pub fn abort(self, reason: impl AsRef<str>) -> Result<Status> {
        self.fenced.abort(reason.as_ref());
        self.fenced.finish(Durability::Synced)
    }

    /// Gives the process up without an end of the run: the next instance that
    /// claims it goes on with the run at once.
    ///
    /// # Errors
    ///
    /// As [`finish`](Run::finish); if the end of an item that was dropped could not
    /// be stored: the process is handed back all the same.
    pub fn hand_back(self) -> Result<()> {
        self.fenced.hand_back(Durability::Synced)
    }

    /// [`finish`](Run::finish) without the wait for the disk.
    #[cfg(feature = "tokio")]
    pub(crate) fn finish_buffered(&self) -> Result<Status> {
        self.fenced.finish(Durability::Buffered)
    }

    /// [`hand_back`](Run::hand_back) without the wait for the disk.
    #[cfg(feature = "tokio")]
    pub(crate) fn hand_back_buffered(&self) -> Result<()> {
        self.fenced.hand_back(Durability::Buffered)
    }

    /// Writes no more, and leaves the run unfinished: it has lapsed.
    pub(crate) fn leave(&self) {
        self.fenced.leave();
    }

    /// Has the run left unfinished when it is dropped before its end: the next instance
    /// that claims the process goes on with it at once. Nothing is written then.
    #[cfg(feature = "tokio")]
    pub(crate) fn leave_when_dropped(&mut self) {
        self.is_left_when_dropped = true;
    }

    /// Whether errors have stopped the run, or it is lost.
    pub(crate) fn is_over(&self) -> bool {
        self.fenced.is_over()
    }

    /// Whether the run takes no more items although there may be some.
    pub(crate) fn takes_no_more(&self) -> bool {
        self.fenced.heartbeat.takes_no_more()
    }

    /// A whole number among the settings, as of the run's last write.
    pub(crate) fn setting(&self, name: &str) -> Option<i64> {
        self.fenced.heartbeat.setting(name)
    }

    /// How often the settings have changed since the claim.
    pub(crate) fn settings_version(&self) -> u64 {
        self.fenced.heartbeat.settings_version()
    }

    /// As [`finish`](Run::finish), for a run that threads share.
    pub(crate) fn finish_shared(&self) -> Result<Status> {
        self.fenced.finish(Durability::Synced)
    }

    /// As [`abort`](Run::abort), for a run that threads share.
    pub(crate) fn abort_shared(&self, reason: &str) -> Result<Status> {
        self.fenced.abort(reason);
        self.fenced.finish(Durability::Synced)
    }

    /// As [`hand_back`](Run::hand_back), for a run that threads share.
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
