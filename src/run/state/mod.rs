//! The state of an active run: its counts and its items.

pub(super) mod cursor;
pub(super) mod deferred;
pub(super) mod heartbeat;
pub(super) mod in_flight;
pub(super) mod item_in_flight;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::progress::Loss;
use crate::error::Error;
use crate::model::errors;
use crate::model::{List, item, run_limits, stats, time};
use crate::proto::record::{RunStatus, Settings};
use crate::proto::{Params, State as RunState, Status};
use crate::store::Versioned;
use cursor::{Cursor, Pass};
use deferred::DeferredProgress;
use heartbeat::Heartbeat;
use in_flight::InFlight;
use item_in_flight::{ItemId, ItemInFlight};

pub(super) struct State {
    pub(super) run: RunStatus,
    pub(super) settings: Versioned<Settings>,
    pub(super) cursor: Cursor,
    pub(super) in_flight: InFlight,
    heartbeat: Arc<Heartbeat>,
    /// The latest time that the run has seen, since its times never go back.
    pub(super) latest: Timestamp,
    is_aborted: bool,
    /// Whether too many items failed, so that the run takes no more.
    is_stopped: bool,
    lost: Option<Loss>,
    ended: bool,
    /// The failure of a call without a result.
    pub(super) pending: Option<Error>,
    /// Whether a statistic was refused, and recorded as an error.
    pub(super) has_refused: bool,
    pub(super) deferred: DeferredProgress,
}

/// Which statistic was not counted, and why.
pub(super) struct Refused(pub(super) String);

impl Refused {
    fn new(label: &str, work: Option<&str>, why: String) -> Self {
        // The first characters identify a long label.
        let label: String = label.chars().take(60).collect();
        let of = work.map(|work| format!(" of work {work:?}")).unwrap_or_default();
        Self(format!("statistic {label:?}{of} was not counted: {why}"))
    }
}

/// Returns the latest time in a run.
fn latest(run: &RunStatus, now: Timestamp) -> Timestamp {
    let status = run.status.as_ref();
    let written = status.and_then(|status| {
        [&status.start_time, &status.progress_time].into_iter().filter_map(time::read).max()
    });
    written.map_or(now, |written| written.max(now))
}

impl State {
    /// Returns the parameters of the process, as of the run's last write.
    pub(super) fn params(&self) -> Params {
        run_limits::without_reserved(self.settings.value.settings.clone().unwrap_or_default())
    }

    pub(super) fn new(
        run: RunStatus,
        settings: Versioned<Settings>,
        heartbeat: Arc<Heartbeat>,
        now: Timestamp,
    ) -> Self {
        let begins_with = if run.begun_since == 0 { Pass::Active } else { Pass::Missed };
        Self {
            cursor: Cursor::new(begins_with),
            in_flight: InFlight::default(),
            heartbeat,
            latest: latest(&run, now),
            is_aborted: false,
            is_stopped: false,
            lost: None,
            ended: false,
            pending: None,
            has_refused: false,
            deferred: DeferredProgress::none(),
            run,
            settings,
        }
    }

    pub(super) fn status(&mut self) -> &mut Status {
        self.run.status.get_or_insert_default()
    }

    pub(super) fn item(&mut self, id: ItemId) -> Option<&mut ItemInFlight> {
        self.in_flight.get_mut(id)
    }

    /// Returns an item for changes, which the next write stores.
    pub(super) fn change(&mut self, id: ItemId) -> Option<&mut ItemInFlight> {
        self.in_flight.change(id)
    }

    /// Returns all items in progress.
    pub(super) fn ids(&self) -> Vec<ItemId> {
        self.in_flight.ids()
    }

    pub(super) fn loss(&self) -> Option<&Loss> {
        self.lost.as_ref()
    }

    pub(super) fn is_aborted(&self) -> bool {
        self.is_aborted
    }

    pub(super) fn begins_no_more(&self) -> bool {
        self.is_aborted || self.is_stopped
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Reports whether the run writes no more.
    pub(super) fn is_closed(&self) -> bool {
        self.lost.is_some() || self.ended
    }

    /// Adds to a counter of the run.
    pub(super) fn add_stat(&mut self, label: &str, value: f64) -> Result<(), Refused> {
        let stats = &mut self.status().stats;
        if stats::is_reserved(label) {
            return Err(Refused::new(
                label,
                None,
                "its label is reserved for what the store counts".to_owned(),
            ));
        }
        if let Some(why) = stats::refusal(stats, label, value) {
            return Err(Refused::new(label, None, why));
        }
        stats::add(stats, label, value);
        Ok(())
    }

    /// Adds to a counter of an item, and to the run's counter of the same name.
    pub(super) fn add_item_stat(&mut self, id: ItemId, label: &str, value: f64) -> Result<(), Refused> {
        let Some(item) = self.in_flight.get_mut(id) else { return Ok(()) };
        let stats = &mut self.run.status.get_or_insert_default().stats;
        let of_work = stats::of_work(label);
        let refusal = stats::refusal(&item.status().stats, label, value)
            .or_else(|| stats::no_room(stats, &of_work))
            .or_else(|| (!item::has_room_for(&item.item, label)).then(|| "its record is full".to_owned()));
        if let Some(why) = refusal {
            return Err(Refused::new(label, Some(&item.name), why));
        }
        stats::add(&mut item.status().stats, label, value);
        stats::add(stats, &of_work, value);
        self.in_flight.change(id);
        Ok(())
    }

    /// Records that the run continues with an item of `pass`.
    pub(super) fn enter_pass(&mut self, pass: Pass) {
        if pass == Pass::Active && self.run.begun_since != 0 {
            // All missed items had their turn. If this run is aborted too, the items that it does
            // not reach are the missed ones.
            self.run.begun_since = self.run.run;
        }
    }

    /// Reverts an end that the run counted before; returns whether it did.
    pub(super) fn take_back(&mut self, ended: RunState) -> bool {
        let stats = &mut self.status().stats;
        let is_counted = stats::get(stats, stats::WORK_ITEMS) > 0.0;
        stats::take_back_ends(stats, ended, 1);
        is_counted
    }

    pub(super) fn written(&mut self, version: u64, sent: Duration) {
        self.heartbeat.set_sent(sent);
        self.in_flight.written(version);
        self.deferred.mark_written();
    }

    pub(super) fn count_end(&mut self, id: ItemId, end: RunState) {
        let is_cleanup = self.in_flight.get(id).is_some_and(|item| item.list == List::Cleanup);
        match end {
            RunState::Completed if is_cleanup => {
                return stats::add(&mut self.status().stats, stats::WORK_ITEMS_CLEANED, 1.0);
            }
            RunState::Incomplete if is_cleanup => self.run.cleanups_dirty += 1,
            RunState::Aborted if is_cleanup => self.run.cleanups_aborted += 1,
            _ => {}
        }
        stats::count_end(&mut self.status().stats, end);
    }

    /// Undoes [`count_end`](State::count_end), because the end could not be written.
    pub(super) fn uncount_end(&mut self, id: ItemId, end: RunState) {
        let is_cleanup = self.in_flight.get(id).is_some_and(|item| item.list == List::Cleanup);
        match end {
            RunState::Completed if is_cleanup => {
                return stats::take_back(&mut self.status().stats, stats::WORK_ITEMS_CLEANED, 1.0);
            }
            RunState::Incomplete if is_cleanup => self.run.cleanups_dirty -= 1,
            RunState::Aborted if is_cleanup => self.run.cleanups_aborted -= 1,
            _ => {}
        }
        stats::take_back_ends(&mut self.status().stats, end, 1);
    }

    /// Counts an error of the run as a whole.
    pub(super) fn run_error(&mut self, now: Timestamp, text: &str) {
        self.run.run_errors = self.run.run_errors.saturating_add(1);
        self.count_error(now, text);
    }

    pub(super) fn count_error(&mut self, now: Timestamp, text: &str) {
        errors::record(self.status(), errors::RUN_ERRORS_MAX, now, text);
    }

    /// Stops early, for a reason that must be kept.
    pub(super) fn stop(&mut self, now: Timestamp, why: &str) {
        self.is_stopped = true;
        self.heartbeat.set_takes_no_more();
        self.run.run_errors = self.run.run_errors.saturating_add(1);
        errors::record_reason(self.status(), errors::RUN_ERRORS_MAX, now, why);
    }

    pub(super) fn abort(&mut self, now: Timestamp, why: &str) {
        self.stop(now, why);
        self.is_aborted = true;
        self.heartbeat.set_over();
    }

    pub(super) fn lose(&mut self, loss: Loss) {
        self.lost = Some(loss);
        self.heartbeat.set_over();
    }

    pub(super) fn end(&mut self) {
        self.ended = true;
        self.heartbeat.set_over();
        self.in_flight.clear();
    }

    /// Marks items in progress at the end of the run as not completed.
    pub(super) fn abandon_items(&mut self, now: Timestamp) {
        for id in self.ids() {
            if let Some(item) = self.in_flight.change(id) {
                item::finish(&mut item.item, RunState::Aborted, now);
            }
            self.count_end(id, RunState::Aborted);
        }
    }
}
