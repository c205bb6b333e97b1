//! The items in tasks, and the next timer of each.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::task::AbortHandle;

use super::task::Task;
use crate::run::WorkItem;

/// The items in tasks. Dropping it drops all futures and takes their items back.
pub(crate) struct InFlight {
    running: FxHashMap<u64, Running>,
    /// The timers of the items.
    timers: BTreeSet<(Duration, u64)>,
    /// The number of dropped futures that have not ended.
    dropped: usize,
    grace: GracePeriods,
}

/// How long to wait for a future that was told to end, and for a dropped one that may block its
/// thread.
#[derive(Clone, Copy)]
pub(crate) struct GracePeriods {
    pub(crate) cancel: Duration,
    pub(crate) stop: Duration,
}

/// An item in a task.
pub(crate) struct Running {
    pub(crate) task: Arc<Task>,
    abort: AbortHandle,
    pub(crate) stage: Stage,
    due: Option<Duration>,
    /// Why it was cancelled.
    pub(crate) why: Option<CancelReason>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Working,
    /// The worker was told to end.
    Told,
    /// Its future is being dropped.
    Dropped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CancelReason {
    TimedOut,
    /// On request.
    Asked,
    /// The runner is stopping.
    Stopping,
    /// The item has too many errors, or the run is over.
    Over,
}

impl InFlight {
    pub(crate) fn new(grace: GracePeriods) -> Self {
        Self { running: FxHashMap::default(), timers: BTreeSet::new(), dropped: 0, grace }
    }

    pub(crate) fn len(&self) -> usize {
        self.running.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Adds a task that times out at `due`.
    pub(crate) fn add(&mut self, task: Arc<Task>, abort: AbortHandle, due: Option<Duration>) {
        let id = task.id;
        self.timers.extend(due.map(|due| (due, id)));
        self.running.insert(id, Running { task, abort, stage: Stage::Working, due, why: None });
    }

    pub(crate) fn remove(&mut self, id: u64) -> Option<Running> {
        let item = self.running.remove(&id)?;
        if let Some(due) = item.due {
            self.timers.remove(&(due, id));
        }
        self.dropped -= usize::from(item.stage == Stage::Dropped);
        Some(item)
    }

    /// Returns when the next timer is due.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// Returns an item with a due timer, and its stage.
    pub(crate) fn due(&mut self, now: Duration) -> Option<(Arc<Task>, Stage)> {
        let (due, id) = *self.timers.first().filter(|(due, _)| *due <= now)?;
        self.timers.remove(&(due, id));
        let item = self.running.get_mut(&id)?;
        item.due = None;
        Some((item.task.clone(), item.stage))
    }

    /// Tells the worker of an item to end, and drops its future after the grace period; false if it
    /// has ended, or was told before.
    pub(crate) fn cancel(&mut self, id: u64, why: CancelReason, now: Duration) -> bool {
        let grace = self.grace.cancel;
        let Some(item) = self.running.get_mut(&id).filter(|item| item.stage == Stage::Working) else {
            return false;
        };
        item.why = Some(why);
        item.task.cancel();
        if grace.is_zero() {
            self.drop_future(id, now);
        } else {
            item.stage = Stage::Told;
            self.set_timer(id, now.saturating_add(grace));
        }
        true
    }

    pub(crate) fn cancel_all(&mut self, why: CancelReason, now: Duration) {
        let ids: Vec<u64> = self.running.keys().copied().collect();
        ids.into_iter().for_each(|id| {
            let _ = self.cancel(id, why, now);
        });
    }

    pub(crate) fn drop_future(&mut self, id: u64, now: Duration) {
        let Some(item) = self.running.get_mut(&id).filter(|item| item.stage != Stage::Dropped) else {
            return;
        };
        item.stage = Stage::Dropped;
        item.abort.abort();
        self.dropped += 1;
        self.set_timer(id, now.saturating_add(self.grace.stop));
    }

    fn set_timer(&mut self, id: u64, due: Duration) {
        let Some(item) = self.running.get_mut(&id) else { return };
        if let Some(old) = item.due.replace(due) {
            self.timers.remove(&(old, id));
        }
        self.timers.insert((due, id));
    }

    /// Reports whether a dropped future does not end, or one has blocked its thread for longer than
    /// `longest`.
    pub(crate) fn is_wedged(&self, now: Duration, longest: Duration) -> bool {
        self.dropped > 0 && self.running.values().any(|item| item.stage == Stage::Dropped)
            || self.running.values().any(|item| item.task.is_blocking(now, longest))
    }

    /// Takes all items back and drops all futures.
    pub(crate) fn lose_all(&mut self, now: Duration) -> Vec<WorkItem> {
        let items = self.running.values().filter_map(|item| item.task.lose()).collect();
        let ids: Vec<u64> = self.running.keys().copied().collect();
        ids.into_iter().for_each(|id| self.drop_future(id, now));
        items
    }

    pub(crate) fn tasks(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.running.values().map(|item| &item.task)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        for item in self.running.values() {
            drop(item.task.lose());
            item.abort.abort();
        }
    }
}
