//! The items that tasks are on, and what comes next of each.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::task::AbortHandle;

use super::task::Task;
use crate::run::WorkItem;

/// Dropped, it drops all futures and takes their items away.
pub(crate) struct InFlight {
    flights: FxHashMap<u64, Flight>,
    /// When something is due of whom.
    timers: BTreeSet<(Duration, u64)>,
    /// How many futures were dropped and have not ended.
    dropped: usize,
    graces: Graces,
}

/// How long is waited: for a future that was told to end, and for one that is to be
/// dropped and may block its thread.
#[derive(Clone, Copy)]
pub(crate) struct Graces {
    pub(crate) cancel: Duration,
    pub(crate) stop: Duration,
}

/// An item that a task is on.
pub(crate) struct Flight {
    pub(crate) task: Arc<Task>,
    abort: AbortHandle,
    pub(crate) stage: Stage,
    due: Option<Duration>,
    /// Why it was cancelled.
    pub(crate) why: Option<Why>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Working,
    /// It was told that it is cancelled.
    Told,
    /// Its future is being dropped.
    Dropped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    TimedOut,
    /// Somebody asked for it.
    Asked,
    /// The runner stops.
    Stopping,
    /// The item had too many errors, or the run is over.
    Over,
}

impl InFlight {
    pub(crate) fn new(graces: Graces) -> Self {
        Self { flights: FxHashMap::default(), timers: BTreeSet::new(), dropped: 0, graces }
    }

    pub(crate) fn len(&self) -> usize {
        self.flights.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.flights.is_empty()
    }

    /// Adds a task that times out at `due`.
    pub(crate) fn add(&mut self, task: Arc<Task>, abort: AbortHandle, due: Option<Duration>) {
        let id = task.id;
        self.timers.extend(due.map(|due| (due, id)));
        self.flights.insert(id, Flight { task, abort, stage: Stage::Working, due, why: None });
    }

    pub(crate) fn remove(&mut self, id: u64) -> Option<Flight> {
        let flight = self.flights.remove(&id)?;
        if let Some(due) = flight.due {
            self.timers.remove(&(due, id));
        }
        self.dropped -= usize::from(flight.stage == Stage::Dropped);
        Some(flight)
    }

    /// When the next timer is due.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// One whose timer is due, and its stage.
    pub(crate) fn due(&mut self, now: Duration) -> Option<(Arc<Task>, Stage)> {
        let (due, id) = *self.timers.first().filter(|(due, _)| *due <= now)?;
        self.timers.remove(&(due, id));
        let flight = self.flights.get_mut(&id)?;
        flight.due = None;
        Some((flight.task.clone(), flight.stage))
    }

    /// Tells the worker of an item to end, and drops its future after the grace. False if it
    /// has ended, or was told before.
    pub(crate) fn cancel(&mut self, id: u64, why: Why, now: Duration) -> bool {
        let grace = self.graces.cancel;
        let Some(flight) = self.flights.get_mut(&id).filter(|flight| flight.stage == Stage::Working) else {
            return false;
        };
        flight.why = Some(why);
        flight.task.cancel();
        if grace.is_zero() {
            self.drop_future(id, now);
        } else {
            flight.stage = Stage::Told;
            self.set_timer(id, now.saturating_add(grace));
        }
        true
    }

    pub(crate) fn cancel_all(&mut self, why: Why, now: Duration) {
        let ids: Vec<u64> = self.flights.keys().copied().collect();
        ids.into_iter().for_each(|id| {
            let _ = self.cancel(id, why, now);
        });
    }

    pub(crate) fn drop_future(&mut self, id: u64, now: Duration) {
        let Some(flight) = self.flights.get_mut(&id).filter(|flight| flight.stage != Stage::Dropped) else {
            return;
        };
        flight.stage = Stage::Dropped;
        flight.abort.abort();
        self.dropped += 1;
        self.set_timer(id, now.saturating_add(self.graces.stop));
    }

    fn set_timer(&mut self, id: u64, due: Duration) {
        let Some(flight) = self.flights.get_mut(&id) else { return };
        if let Some(old) = flight.due.replace(due) {
            self.timers.remove(&(old, id));
        }
        self.timers.insert((due, id));
    }

    /// Whether a future does not end although it was dropped, or blocks its thread for
    /// longer than `longest`.
    pub(crate) fn is_wedged(&self, now: Duration, longest: Duration) -> bool {
        self.dropped > 0 && self.flights.values().any(|flight| flight.stage == Stage::Dropped)
            || self.flights.values().any(|flight| flight.task.is_blocking(now, longest))
    }

    /// Takes all items away and drops all futures.
    pub(crate) fn lose_all(&mut self, now: Duration) -> Vec<WorkItem> {
        let items = self.flights.values().filter_map(|flight| flight.task.lose()).collect();
        let ids: Vec<u64> = self.flights.keys().copied().collect();
        ids.into_iter().for_each(|id| self.drop_future(id, now));
        items
    }

    pub(crate) fn tasks(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.flights.values().map(|flight| &flight.task)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        for flight in self.flights.values() {
            drop(flight.task.lose());
            flight.abort.abort();
        }
    }
}
