//! The rules of one work item: registering, working on it, ending it.

use jiff::Timestamp;

use super::{limits, run, stats, time};
use crate::proto::record::{Item, ItemHead, RunStatus, StatusHead, WorkHead};
use crate::proto::{Encode, Params, State, Status, Work};

/// Converts to an item without parameters, statistics and errors, which suffices for the rules of
/// what a run does with it.
impl From<ItemHead> for Item {
    fn from(head: ItemHead) -> Self {
        let ItemHead { work, registered, run, ended, failed_attempts } = head;
        let status = |head: StatusHead| Status {
            start_time: head.start_time,
            progress_time: head.progress_time,
            finish_time: head.finish_time,
            last_error_time: head.last_error_time,
            total_errors: head.total_errors,
            state: head.state,
            ..Status::default()
        };
        let work = work.map(|WorkHead { modified, status: head }| Work {
            modified,
            params: None,
            status: head.map(status),
        });
        Self { work, registered, run, ended, failed_attempts }
    }
}

/// Returns the item after registering a name with `params`, or `None` if nothing changes.
///
/// `active` is the item if the name is on the active list.
pub(crate) fn register(
    active: Option<&Item>,
    params: &Params,
    run: Option<&RunStatus>,
    now: Timestamp,
    seq: u64,
) -> Option<Item> {
    let modified = Some(time::to_wire(now));
    let Some(active) = active else {
        let work = Work { modified, params: Some(params.clone()), status: Some(queued()) };
        return Some(Item { work: Some(work), registered: seq, ..Item::default() });
    };
    let mut item = active.clone();
    let work = item.work.get_or_insert_default();
    if work.params.as_ref() == Some(params) {
        return None;
    }
    work.modified = modified;
    work.params = Some(params.clone());
    Some(requeue(&item, run).unwrap_or(item))
}

/// Queues the item again; `None` if it is already queued or a run is working on it.
pub(crate) fn requeue(item: &Item, run: Option<&RunStatus>) -> Option<Item> {
    let is_queued = status(item).is_some_and(|status| *status == queued());
    if is_queued || is_in_hand(item, run) {
        return None;
    }
    let mut again = item.clone();
    again.work.get_or_insert_default().status = Some(queued());
    // A run that resumes the item must know which count to revert.
    let ended = run.filter(|run| run::is_unfinished(run)).and_then(|run| ended_before(item, run));
    again.set_ended(ended.unwrap_or_default());
    again.run = if ended.is_some() { item.run } else { 0 };
    Some(again)
}

fn queued() -> Status {
    Status { state: State::New.into(), ..Status::default() }
}

/// Reports whether the current run is working on the item.
fn is_in_hand(item: &Item, run: Option<&RunStatus>) -> bool {
    let active = status(item).is_some_and(|status| status.state() == State::Active);
    active && run.is_some_and(|run| run::is_unfinished(run) && belongs_to(item, run))
}

/// Reports whether the item's status was written by this run, under any of its owners.
///
/// Imported items carry no run number. Whatever happened to them since the start of an imported run
/// belongs to that run.
pub(crate) fn belongs_to(item: &Item, run: &RunStatus) -> bool {
    if item.run != 0 {
        return item.run == run.run;
    }
    let is_import = run.run == 0 || run.continues_import;
    is_import && (item.ended() != State::Unspecified || was_touched_in(item, run))
}

fn was_touched_in(item: &Item, run: &RunStatus) -> bool {
    let started = run.status.as_ref().and_then(|status| time::read(&status.start_time));
    let touched = status(item).and_then(|status| {
        [&status.finish_time, &status.progress_time, &status.start_time].into_iter().find_map(time::read)
    });
    touched.is_some() && touched >= started
}

/// Reports whether a run still has to process the item.
///
/// Items registered after the run began wait for the next one. A resumed run does not repeat an
/// item that it completed.
pub(crate) fn is_to_do(item: &Item, run: &RunStatus) -> bool {
    let is_completed = status(item).is_some_and(|status| status.state() == State::Completed);
    let is_skipped = run.skips_completed && item.run >= run.completed_since;
    item.registered < run.run && !(is_completed && (is_skipped || belongs_to(item, run)))
}

/// Reports whether the item comes after those that an aborted run did not reach.
pub(crate) fn comes_later(item: &Item, run: &RunStatus) -> bool {
    run.begun_since != 0 && item.run >= run.begun_since
}

/// Returns the state in which this run ended the item before.
///
/// The run must revert its count for that state before it processes the item again.
pub(crate) fn ended_before(item: &Item, run: &RunStatus) -> Option<State> {
    let ended = match item.ended() {
        State::Unspecified => status(item)?.state(),
        ended => ended,
    };
    let is_end = matches!(ended, State::Completed | State::Incomplete | State::Aborted);
    (is_end && belongs_to(item, run)).then_some(ended)
}

/// Starts an attempt on the item.
///
/// Within one run, across takeovers, the item's statistics and errors accumulate, so that they add
/// up to those of the run.
pub(crate) fn begin(item: &mut Item, run: &RunStatus, now: Timestamp) {
    let goes_on = belongs_to(item, run);
    item.run = run.run;
    item.set_ended(State::Unspecified);
    let work = item.work.get_or_insert_default();
    if !goes_on {
        item.failed_attempts = 0;
        work.status = None;
    }
    let now = Some(time::to_wire(now));
    let status = work.status.get_or_insert_default();
    status.start_time = status.start_time.or(now);
    status.progress_time = now;
    status.finish_time = None;
    status.set_state(State::Active);
}

/// Ends the item.
pub(crate) fn finish(item: &mut Item, state: State, now: Timestamp) {
    item.failed_attempts = 0;
    let status = item.work.get_or_insert_default().status.get_or_insert_default();
    status.progress_time = Some(time::to_wire(now));
    status.finish_time = status.progress_time;
    status.set_state(state);
}

/// Undoes [`finish`], because the end could not be stored.
pub(crate) fn reopen(item: &mut Item) {
    let status = item.work.get_or_insert_default().status.get_or_insert_default();
    status.finish_time = None;
    status.set_state(State::Active);
}

/// Merges a run's copy of an item with the stored one: the stored parameters and the run's status
/// win.
///
/// Returns `None` if the item has been re-registered; the run must not write it then.
pub(crate) fn merge(ours: &Item, theirs: Option<&Item>) -> Option<Item> {
    let theirs = theirs.filter(|theirs| theirs.registered == ours.registered)?;
    let mut merged = theirs.clone();
    (merged.run, merged.ended, merged.failed_attempts) = (ours.run, ours.ended, ours.failed_attempts);
    merged.work.get_or_insert_default().status = ours.work.as_ref().and_then(|work| work.status.clone());
    Some(merged)
}

/// Reports whether the record of an item has room for another counter.
pub(crate) fn has_room_for(item: &Item, label: &str) -> bool {
    let is_known = status(item).is_some_and(|status| status.stats.contains_key(label));
    is_known || item.exact_len() + label.len() + stats::COUNTER_BYTES <= limits::ITEM_BYTES_MAX
}

pub(crate) fn params(item: &Item) -> Option<&Params> {
    item.work.as_ref()?.params.as_ref()
}

pub(crate) fn status(item: &Item) -> Option<&Status> {
    item.work.as_ref()?.status.as_ref()
}

#[cfg(test)]
mod tests;
