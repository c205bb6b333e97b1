//! Advances a run: items end and the next ones begin in one commit, which concurrent threads share.

pub(super) mod queue;

use std::sync::Arc;

use jiff::Timestamp;

use queue::{Advance, Answer, Granted, StartedItem, Waiter};

use super::fenced::FencedRun;
use super::state::State;
use super::state::cursor::{NextItem, Pass};
use super::state::item_in_flight::{ItemId, ItemInFlight};
use super::writing::Writing;
use crate::error::Result;
use crate::model::{List, item, stats, time};
use crate::proto::State as RunState;
use crate::proto::record::Item;
use crate::record::Payload;

/// How often a thread yields before it sleeps while waiting for the lock. A buffered commit takes
/// less than that; a synced one takes longer.
const YIELDS: usize = 64;

/// An item that ends with the next commit.
struct Ended {
    id: ItemId,
    end: RunState,
}

/// An item that begins with the next commit.
struct Begun {
    id: ItemId,
    pass: Pass,
    name: Arc<str>,
    /// In what the run had ended it before, which does not count any more.
    before: Option<RunState>,
    /// Failed attempts under an earlier owner of the run.
    failed_attempts: u32,
}

impl Begun {
    fn taken(self) -> StartedItem {
        let Self { id, name, pass, failed_attempts, .. } = self;
        StartedItem { id, name, list: pass.list(), failed_attempts }
    }
}

impl FencedRun {
    /// Ends items, including their moves between lists, and starts the next ones.
    ///
    /// If an end cannot be stored, no item starts.
    pub(super) fn advance(&self, request: Advance) -> Answer {
        if let Some(mut state) = self.try_lock_to_write() {
            return self.serve_all(&mut state, request);
        }
        let waiter = Arc::new(Waiter::new(request.clone()));
        self.queue.waiting.lock().push(waiter.clone());
        if let Some(mut state) = self.wait_for(&waiter) {
            self.queue.waiting.lock().retain(|waiting| !Arc::ptr_eq(waiting, &waiter));
            return self.serve_all(&mut state, request);
        }
        let answer = waiter.answer.lock().take();
        answer.unwrap_or_else(|| Ok(Granted::default()))
    }

    /// Waits for an answer, or for the lock, with which this thread serves itself and all waiting
    /// threads.
    fn wait_for(&self, waiter: &Waiter) -> Option<Writing<'_>> {
        for _ in 0..YIELDS {
            if waiter.is_answered() {
                return None;
            }
            if let Some(state) = self.try_lock_to_write() {
                return Some(state).filter(|_| !waiter.is_answered());
            }
            std::thread::yield_now();
        }
        Some(self.lock_to_write()).filter(|_| !waiter.is_answered())
    }

    /// Serves this thread's request and those waiting.
    fn serve_all(&self, state: &mut Writing<'_>, own: Advance) -> Answer {
        let waiters = std::mem::take(&mut *self.queue.waiting.lock());
        let requests: Vec<Advance> =
            std::iter::once(own).chain(waiters.iter().map(|waiter| waiter.request.clone())).collect();
        let mut answers = self.serve(state, &requests).into_iter();
        let own = answers.next().unwrap_or_else(|| Ok(Granted::default()));
        for (waiter, answer) in waiters.iter().zip(answers) {
            waiter.answer(answer);
        }
        own
    }

    /// Serves all requests in one commit, or, if that fails, each in its own, so that an error of
    /// one item does not affect others.
    fn serve(&self, state: &mut Writing<'_>, requests: &[Advance]) -> Vec<Answer> {
        let is_one_thing = matches!(requests, [request] if request.ends.len() + request.takes <= 1);
        let settings = self.heartbeat.settings_version();
        let together = if is_one_thing { None } else { self.serve_together(state, requests) };
        together.unwrap_or_else(|| {
            requests.iter().map(|request| self.serve_alone(state, request, settings)).collect()
        })
    }

    /// Serves one request; `settings` is the version that the thread knew.
    fn serve_alone(&self, state: &mut Writing<'_>, request: &Advance, settings: u64) -> Answer {
        let ended = request.ends.iter().map(|(id, how)| self.end_one(state, *id, *how));
        // Each is tried, regardless of the others.
        ended.fold(Ok(()), Result::and)?;
        let mut granted = Granted::default();
        if request.takes > 0 && !request.ends.is_empty() && self.heartbeat.settings_version() != settings {
            granted.has_new_settings = true;
            return Ok(granted);
        }
        while granted.items.len() < request.takes {
            match self.take_one(state) {
                Ok(Some(taken)) => granted.items.push(taken),
                Ok(None) => break,
                Err(error) if granted.items.is_empty() => return Err(error),
                Err(error) => {
                    // Reported to the next request, since items that have begun must be processed.
                    state.pending.get_or_insert(error);
                    break;
                }
            }
        }
        Ok(granted)
    }

    /// Serves requests in one commit; `None` if the settings changed.
    fn serve_together(&self, state: &mut Writing<'_>, requests: &[Advance]) -> Option<Vec<Answer>> {
        if self.check_open(state).is_err() || state.pending.is_some() {
            return None;
        }
        let now = self.now(state);
        let ended: Vec<Ended> = requests
            .iter()
            .flat_map(|request| &request.ends)
            .filter_map(|(id, how)| self.apply_end(state, *id, *how, now))
            .collect();
        let wanted = requests.iter().map(|request| request.takes).sum();
        let mut begun = Vec::with_capacity(wanted);
        let written = self.begin_up_to(state, wanted, &mut begun, now).and_then(|()| {
            if ended.is_empty() && begun.is_empty() {
                return Ok(true);
            }
            self.write_by_the_same_settings(state, now)
        });
        if !written.unwrap_or(false) {
            begun.into_iter().rev().for_each(|begun| {
                undo_begin(state, &begun);
                state.cursor.put_back(begun.pass, begun.name);
            });
            ended.into_iter().for_each(|ended| undo_end(state, &ended));
            return None;
        }
        ended.iter().for_each(|ended| state.in_flight.remove(ended.id));
        let mut begun = begun.into_iter();
        Some(requests.iter().map(|request| self.hand_out(state, request.takes, &mut begun)).collect())
    }

    /// Returns the share of one of the requests served together.
    fn hand_out(
        &self,
        state: &mut Writing<'_>,
        takes: usize,
        begun: &mut impl Iterator<Item = Begun>,
    ) -> Answer {
        let mut granted = Granted::default();
        for begun in begun.take(takes) {
            if is_still_there(state, &begun) {
                granted.items.push(begun.taken());
                continue;
            }
            undo_begin(state, &begun);
            match self.take_one(state) {
                Ok(other) => granted.items.extend(other),
                Err(error) => {
                    state.pending.get_or_insert(error);
                }
            }
        }
        Ok(granted)
    }

    /// Starts the next item.
    fn take_one(&self, state: &mut Writing<'_>) -> Result<Option<StartedItem>> {
        self.check(state)?;
        while !state.begins_no_more() {
            let Some((pass, next)) = self.next_item(state)? else { break };
            let now = self.now(state);
            let Some(begun) = self.apply_begin(state, pass, next, now)? else { continue };
            let written = self.write_items(state, now);
            if written.is_ok() && is_still_there(state, &begun) {
                return Ok(Some(begun.taken()));
            }
            undo_begin(state, &begun);
            written?;
        }
        Ok(None)
    }

    /// Ends an item in the state `how`, or according to its errors.
    fn end_one(&self, state: &mut Writing<'_>, id: ItemId, how: Option<RunState>) -> Result<()> {
        // Another item's failure is reported by the run, and does not prevent this end.
        self.check_open(state)?;
        let now = self.now(state);
        if self.apply_end(state, id, how, now).is_none() {
            return Ok(());
        }
        let written = self.write_items(state, now);
        state.in_flight.remove(id);
        written
    }

    fn write_items(&self, state: &mut Writing<'_>, now: Timestamp) -> Result<()> {
        state.status().progress_time = Some(time::to_wire(now));
        self.write(state, self.options.durability, &mut |batch| Ok(batch)).map(drop)
    }

    /// Writes; false, without a write, if the settings changed.
    fn write_by_the_same_settings(&self, state: &mut Writing<'_>, now: Timestamp) -> Result<bool> {
        state.status().progress_time = Some(time::to_wire(now));
        let settings = self.heartbeat.settings_version();
        while !self.try_write(state, self.options.durability, &mut |batch| Ok(batch))? {
            if self.heartbeat.settings_version() != settings {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn apply_end(
        &self,
        state: &mut State,
        id: ItemId,
        how: Option<RunState>,
        now: Timestamp,
    ) -> Option<Ended> {
        let item = state.in_flight.change(id)?;
        let by_errors = if item.has_failed { RunState::Incomplete } else { RunState::Completed };
        let end = how.unwrap_or(by_errors);
        state.in_flight.end(id, end, now);
        state.count_end(id, end);
        self.check_limit(state, now);
        Some(Ended { id, end })
    }

    fn begin_up_to(
        &self,
        state: &mut Writing<'_>,
        wanted: usize,
        begun: &mut Vec<Begun>,
        now: Timestamp,
    ) -> Result<()> {
        while begun.len() < wanted && !state.begins_no_more() {
            let Some((pass, next)) = self.next_item(state)? else { break };
            let name = next.name.clone();
            match self.apply_begin(state, pass, next, now) {
                Ok(next) => begun.extend(next),
                Err(error) => {
                    state.cursor.put_back(pass, name);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn next_item(&self, state: &mut Writing<'_>) -> Result<Option<(Pass, NextItem)>> {
        let mut cursor = std::mem::take(&mut state.cursor);
        let next = state.wait(|| cursor.next(&self.handle));
        state.cursor = cursor;
        next.inspect(|next| next.iter().for_each(|(pass, _)| state.enter_pass(*pass)))
    }

    /// Starts an item; `None` if it is no longer to be processed.
    ///
    /// No worker gets it before the store has confirmed that the run is still the owner.
    fn apply_begin(
        &self,
        state: &mut Writing<'_>,
        pass: Pass,
        next: NextItem,
        now: Timestamp,
    ) -> Result<Option<Begun>> {
        let list = pass.list();
        let name = next.name.clone();
        // Unregistered while in progress: the next run cleans it up.
        if state.in_flight.has(&name) {
            return Ok(None);
        }
        let read = state.wait(|| next.record(&self.handle, list));
        let Some((record, as_of)) = read? else { return Ok(None) };
        let mut item = match list {
            List::Active => Item::from_record(&record)?,
            List::Cleanup | List::Dropped => Item::default(),
        };
        if list == List::Active && !item::is_to_do(&item, &state.run) {
            return Ok(None);
        }
        let is_another_passes = match pass {
            Pass::Missed => item::comes_later(&item, &state.run),
            // Begun in the pass before: its record was written after the claim.
            Pass::Active => item.run == state.run.run && record.version > self.token(),
            Pass::Cleanup => false,
        };
        if is_another_passes {
            return Ok(None);
        }
        let before = item::ended_before(&item, &state.run);
        item::begin(&mut item, &state.run, now);
        let failed_attempts = item.failed_attempts;
        let version = (record.version, as_of);
        let id = state.in_flight.take(ItemInFlight::new(name.clone(), list, record.key, version, item));
        let before = before.filter(|ended| state.take_back(*ended));
        Ok(Some(Begun { id, pass, name, before, failed_attempts }))
    }
}

/// Reports whether an item whose begin was written still belongs to this run; it may have left its
/// list.
fn is_still_there(state: &State, begun: &Begun) -> bool {
    state.in_flight.get(begun.id).is_some_and(|item| item.version.is_some())
}

fn undo_begin(state: &mut State, begun: &Begun) {
    state.in_flight.remove(begun.id);
    if let Some(ended) = begun.before {
        stats::count_end(&mut state.status().stats, ended);
    }
}

fn undo_end(state: &mut State, ended: &Ended) {
    state.uncount_end(ended.id, ended.end);
    state.in_flight.reopen(ended.id);
}

#[cfg(test)]
mod tests {
    use crate::proto::Params;
    use crate::run::{Claim, Instance, Run, WorkItem};
    use crate::store::{ImportMode, ProcessHandle, Store};

    fn claim(process: &ProcessHandle) -> Run {
        match process.claim(&Instance::new()).unwrap() {
            Claim::Won(run) => run,
            other => panic!("not won: {other:?}"),
        }
    }

    fn process(store: &Store, names: &[&str]) -> ProcessHandle {
        let process = store.process("p").unwrap();
        process.register_all(names.iter().map(|name| (*name, Params::new()))).unwrap();
        process
    }

    fn take(run: &Run, items: usize) -> Vec<WorkItem> {
        run.advance(Vec::new(), items).unwrap().items
    }

    fn names(items: &[WorkItem]) -> Vec<&str> {
        items.iter().map(WorkItem::name).collect()
    }

    fn state(process: &ProcessHandle, name: &str) -> String {
        process.work(name).unwrap().state
    }

    #[test]
    fn ends_and_begins_are_one_commit() {
        let store = Store::in_memory();
        let process = process(&store, &["a", "b", "c", "d"]);
        let run = claim(&process);
        let first = take(&run, 2);
        let before = store.stats().unwrap().last_seq;
        let ends = first.into_iter().map(WorkItem::into_end).collect();
        let next = run.advance(ends, 3).unwrap().items;
        assert_eq!(names(&next), ["c", "d"]);
        assert_eq!(store.stats().unwrap().last_seq, before + 1);
        assert_eq!(["a", "c"].map(|name| state(&process, name)), ["completed", "active"]);
    }

    #[test]
    fn an_end_that_cannot_be_stored_affects_no_other() {
        let store = Store::in_memory();
        let process = process(&store, &["big", "small"]);
        let mut message = process.snapshot().unwrap();
        message.active_work.get_mut("big").unwrap().params =
            Some(Params::new().string("s", "x".repeat((1 << 20) - 500)));
        let process = store.import(message, ImportMode::Replace).unwrap();
        let run = claim(&process);
        let mut items = take(&run, 2);
        items[0].add_error("x".repeat(1000));
        let ends = items.into_iter().map(WorkItem::into_end).collect();
        let error = run.advance(ends, 1).unwrap_err();
        assert!(error.is_invalid() && error.to_string().contains("work \"big\""), "{error}");
        assert_eq!(state(&process, "small"), "completed");
        let status = run.status();
        assert_eq!((status.stats["workItems"], status.stats["workItemsDirty"]), (2.0, 1.0));
    }

    #[test]
    fn a_begin_that_fails_affects_no_other() {
        let store = Store::in_memory();
        let process = process(&store, &["a", "big", "c"]);
        let mut message = process.snapshot().unwrap();
        message.active_work.get_mut("big").unwrap().params =
            Some(Params::new().string("s", "x".repeat((1 << 20) - 40)));
        let process = store.import(message, ImportMode::Replace).unwrap();
        let run = claim(&process);
        let first = take(&run, 3);
        assert_eq!(names(&first), ["a"]);
        assert!(run.advance(Vec::new(), 3).unwrap_err().is_invalid());
        let ends = first.into_iter().map(WorkItem::into_end).collect();
        let next = run.advance(ends, 3).unwrap().items;
        assert_eq!(names(&next), ["c"]);
        assert_eq!((state(&process, "a"), state(&process, "big")), ("completed".into(), "queued".into()));
        assert_eq!(run.status().stats["workItems"], 1.0);
    }

    #[test]
    fn new_settings_are_seen_before_the_next_item_begins() {
        let store = Store::in_memory();
        let process = process(&store, &["a", "b"]);
        let run = claim(&process);
        let ends = take(&run, 1).into_iter().map(WorkItem::into_end).collect();
        process.set_params(Params::new().int("flow.paused", 1)).unwrap();
        let advanced = run.advance(ends, 1).unwrap();
        assert!(advanced.items.is_empty() && advanced.has_new_settings);
        assert_eq!(run.setting("flow.paused"), Some(1));
        assert_eq!(["a", "b"].map(|name| state(&process, name)), ["completed", "queued"]);
        assert_eq!(run.status().stats["workItems"], 1.0);
        assert_eq!(names(&take(&run, 1)), ["b"]);
    }

    #[test]
    fn a_cleanup_whose_item_ends_with_it_is_done_in_this_run() {
        let store = Store::in_memory();
        let process = process(&store, &["a"]);
        let run = claim(&process);
        let ends = take(&run, 1).into_iter().map(WorkItem::into_end).collect();
        process.unregister("a").unwrap();
        assert!(run.advance(ends, 1).unwrap().has_new_settings);
        let cleanup = take(&run, 1);
        assert_eq!(names(&cleanup), ["a"]);
        run.advance(cleanup.into_iter().map(WorkItem::into_end).collect(), 0).unwrap();
        assert_eq!(state(&process, "a"), "dropped");
    }

    #[test]
    fn threads_share_commits_and_get_each_item_once() {
        let store = Store::in_memory();
        let all: Vec<String> = (0..500).map(|n| format!("w{n:03}")).collect();
        let process = process(&store, &all.iter().map(String::as_str).collect::<Vec<_>>());
        let run = claim(&process);
        let done = parking_lot::Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let mut items = take(&run, 2);
                    while !items.is_empty() {
                        done.lock().extend(items.iter().map(|item| item.name().to_owned()));
                        let ends = items.into_iter().map(WorkItem::into_end).collect();
                        items = run.advance(ends, 2).unwrap().items;
                    }
                });
            }
        });
        let mut done = done.into_inner();
        done.sort();
        assert_eq!(done, all);
        assert_eq!(run.finish().unwrap().stats["workItems"], 500.0);
        assert!(all.iter().all(|name| state(&process, name) == "completed"));
    }
}
