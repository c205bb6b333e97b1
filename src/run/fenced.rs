//! The state shared by a run and its items, and the fenced write.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};

use super::advance::queue::AdvanceQueue;
use super::claim::options::ClaimOptions;
use super::progress::{Loss, Progress};
use super::state::heartbeat::Heartbeat;
use super::state::item_in_flight::ItemId;
use super::state::{Refused, State};
use super::writing::Writing;
use crate::engine::{Batch, Durability, Expect, Outcome, Pulse};
use crate::error::{Error, Failure, Result};
use crate::model::{List, errors, item, run, time};
use crate::proto::record::{Item, Owner, RunStatus, Settings};
use crate::record::{Key, Payload};
use crate::store::{ProcessHandle, Versioned};

/// What makes this run the owner.
pub(super) struct Token {
    pub(super) instance: Arc<str>,
    /// The version of the owner record, which is the fencing token.
    pub(super) version: u64,
    pub(super) pulse: Arc<Pulse>,
    /// When the claim was sent, on the monotonic clock.
    pub(super) sent: Duration,
    /// The number of active items at the claim, where needed.
    pub(super) active: u64,
}

/// The number of preconditions on owner and settings, which precede those on items.
const FENCES: usize = 2;

pub(super) struct FencedRun {
    pub(super) handle: ProcessHandle,
    pub(super) options: ClaimOptions,
    pub(super) instance: Arc<str>,
    token: u64,
    pub(super) pulse: Arc<Pulse>,
    pub(super) owner_key: Key,
    settings_key: Key,
    status_key: Key,
    /// The number of active items at the claim, where needed.
    active: u64,
    state: Mutex<State>,
    /// Whether calls of the engine wait for a network, during which the state is not locked.
    is_networked: bool,
    /// Locked by the writer on a networked store.
    writer: Mutex<()>,
    pub(super) heartbeat: Arc<Heartbeat>,
    pub(super) queue: AdvanceQueue,
}

impl FencedRun {
    pub(super) fn new(
        handle: ProcessHandle,
        options: ClaimOptions,
        token: Token,
        run: RunStatus,
        settings: Versioned<Settings>,
        now: Timestamp,
    ) -> Self {
        let name = handle.name();
        let heartbeat =
            Arc::new(Heartbeat::new(token.sent, settings.value.settings.clone().unwrap_or_default()));
        Self {
            owner_key: Key::owner(name),
            settings_key: Key::settings(name),
            status_key: Key::status(name),
            state: Mutex::new(State::new(run, settings, heartbeat.clone(), now)),
            heartbeat,
            is_networked: handle.store.inner.engine.is_networked(),
            writer: Mutex::default(),
            queue: AdvanceQueue::default(),
            instance: token.instance,
            token: token.version,
            pulse: token.pulse,
            active: token.active,
            handle,
            options,
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(super) fn lock_to_write(&self) -> Writing<'_> {
        let writer = self.is_networked.then(|| self.writer.lock());
        Writing::new(self.lock(), writer)
    }

    pub(super) fn try_lock_to_write(&self) -> Option<Writing<'_>> {
        if self.is_networked {
            let writer = self.writer.try_lock()?;
            return Some(Writing::new(self.lock(), Some(writer)));
        }
        Some(Writing::new(self.state.try_lock()?, None))
    }

    pub(super) fn token(&self) -> u64 {
        self.token
    }

    /// Returns the monotonic time until which no other instance can have claimed the process.
    pub(super) fn deadline(&self) -> Duration {
        self.pulse.alive_until(self.heartbeat.sent())
    }

    pub(super) fn is_lapsed(&self) -> bool {
        self.monotonic() >= self.deadline()
    }

    /// Reports whether the worker should stop: the run is aborted, lost, or over.
    pub(super) fn is_over(&self) -> bool {
        self.heartbeat.is_over()
    }

    pub(super) fn monotonic(&self) -> Duration {
        self.handle.store.inner.clock.monotonic()
    }

    /// Returns the time, which never goes back within the run.
    pub(super) fn now(&self, state: &mut State) -> Timestamp {
        state.latest = state.latest.max(self.handle.store.now());
        state.latest
    }

    /// Fails if an earlier call without a result failed, or the run is lost or over.
    pub(super) fn check(&self, state: &mut State) -> Result<()> {
        match state.pending.take() {
            Some(error) => Err(error),
            None => self.check_open(state),
        }
    }

    /// Fails if the run is lost or over.
    pub(super) fn check_open(&self, state: &State) -> Result<()> {
        if let Some(loss) = state.loss() {
            return Err(self.conflict(loss));
        }
        if state.has_ended() {
            return Err(Failure::RunEnded { process: self.handle.name().to_owned() }.into());
        }
        Ok(())
    }

    fn conflict(&self, loss: &Loss) -> Error {
        let process = self.handle.name().to_owned();
        Failure::Conflict { process, by: loss.by.clone(), since: loss.since }.into()
    }

    /// Reports progress, unless the last report was too recent.
    pub(super) fn progress(self: &Arc<Self>, throttled: bool) -> Result<Progress> {
        let mut state = self.lock_to_write();
        match self.check(&mut state) {
            Err(error) if error.is_conflict() => return Ok(Progress::Conflict),
            other => other?,
        }
        if throttled && !state.is_aborted() && self.is_early() {
            return Ok(Progress::None);
        }
        if throttled && let Some(progress) = self.defer(&mut state) {
            return Ok(progress);
        }
        let now = time::to_wire(self.now(&mut state));
        state.status().progress_time = Some(now);
        state.in_flight.stamp_changed(now);
        let merged = match self.write(&mut state, self.options.durability, &mut |batch| Ok(batch)) {
            Err(error) if error.is_conflict() => return Ok(Progress::Conflict),
            other => other?,
        };
        let merged = std::mem::take(&mut state.deferred.has_merged) || merged;
        Ok(match (state.is_aborted(), merged) {
            (true, _) => Progress::Aborted,
            (false, true) => Progress::Merged,
            (false, false) => Progress::Updated,
        })
    }

    /// Reports whether the progress interval has not passed yet.
    fn is_early(&self) -> bool {
        let interval = self.options.interval();
        !interval.is_zero() && self.monotonic().saturating_sub(self.heartbeat.sent()) < interval
    }

    /// Writes the status, every changed item in progress, and what `more` adds, atomically and only
    /// as the owner; returns whether concurrent changes were merged.
    pub(super) fn write(
        &self,
        state: &mut Writing<'_>,
        durability: Durability,
        more: &mut dyn FnMut(Batch) -> Result<Batch>,
    ) -> Result<bool> {
        let mut merged = false;
        while !self.try_write(state, durability, more)? {
            merged = true;
        }
        Ok(merged)
    }

    /// Attempts a [`write`](FencedRun::write); false if it merged concurrent changes instead of
    /// writing.
    pub(super) fn try_write(
        &self,
        state: &mut Writing<'_>,
        durability: Durability,
        more: &mut dyn FnMut(Batch) -> Result<Batch>,
    ) -> Result<bool> {
        let batch = self.batch(state);
        let expected = batch.preconditions.len();
        state.in_flight.begin_write();
        let written = state.wait(|| {
            let batch = more(batch)?;
            let sent = self.monotonic();
            // Before the commit is visible: a claimer that sees the commit must see the heartbeat
            // too, or it would take over a run that had lapsed and is alive again through this
            // write.
            self.pulse.beat(sent);
            let outcome = self.handle.store.inner.engine.commit(batch, durability)?;
            Ok::<_, Error>((outcome, sent))
        });
        let (outcome, sent) = written.inspect_err(|_| state.in_flight.not_written())?;
        let failed = match outcome {
            Outcome::Committed(version) => {
                state.written(version, sent);
                return Ok(true);
            }
            Outcome::Failed(index) => index,
        };
        state.in_flight.not_written();
        match failed {
            0 => return Err(self.lose(state)?),
            1 => self.reread(state)?,
            index if index < expected => {
                let item = state.in_flight.to_write().nth(index - FENCES).map(|(id, ..)| id);
                item.map_or(Ok(()), |id| self.merge(state, id))?;
            }
            // A precondition of `more` failed, which rereads.
            _ => {}
        }
        Ok(false)
    }

    fn batch(&self, state: &State) -> Batch {
        let changed = state.in_flight.to_write().count();
        let batch = Batch::with_capacity(FENCES + changed, 1 + changed)
            .put(self.status_key.clone(), state.run.to_payload());
        let settings = (&self.settings_key, state.settings.unchanged());
        let mut batch = fenced(batch, (&self.owner_key, self.token), settings);
        for (_, item, version) in state.in_flight.to_write() {
            let expected = batch.expect_since(item.key.clone(), Expect::Version(version), item.as_of);
            batch = item.write_to(expected, &self.handle);
        }
        batch
    }

    /// Records the new owner.
    fn lose(&self, state: &mut Writing<'_>) -> Result<Error> {
        let owner: Versioned<Owner> = state.wait(|| self.handle.read_owner())?;
        let since = time::read(&owner.value.claimed);
        // An imported owner did not claim the process.
        let by = if owner.value.claimed.is_some() { owner.value.instance } else { String::new() };
        let loss = Loss { by, since };
        self.handle.store.inner.liveness.end(self.pulse.claim);
        let error = self.conflict(&loss);
        state.lose(loss);
        Ok(error)
    }

    /// Merges concurrent changes.
    ///
    /// Every change that a run must notice increases the version of the settings: if that is
    /// unchanged, so are the items without pending writes.
    fn reread(&self, state: &mut Writing<'_>) -> Result<()> {
        // Before the items, so that a later change fails the next attempt.
        state.settings = state.wait(|| self.handle.read_settings())?;
        self.heartbeat.set_settings(state.settings.value.settings.clone().unwrap_or_default());
        state.ids().into_iter().try_for_each(|id| self.merge(state, id))
    }

    /// Merges concurrent changes of an item in progress.
    ///
    /// The run may no longer write items that were re-registered or whose cleanup was requested
    /// again.
    fn merge(&self, state: &mut Writing<'_>, id: ItemId) -> Result<()> {
        let Some(key) = state.in_flight.get(id).map(|item| item.key.clone()) else { return Ok(()) };
        let record = state.wait(|| self.handle.store.inner.engine.get(&key))?;
        let Some(item) = state.in_flight.get_mut(id) else { return Ok(()) };
        let version = record.as_ref().map(|record| record.version);
        if item.version.is_none() || item.version == version {
            return Ok(());
        }
        let theirs = record.filter(|_| item.list == List::Active);
        let theirs = theirs.as_ref().map(Item::from_record).transpose()?;
        let merged = item::merge(&item.item, theirs.as_ref());
        item.version = version.filter(|_| merged.is_some());
        item.as_of = 0;
        if let Some(merged) = merged {
            item.take_in(merged);
        }
        Ok(())
    }

    /// Stops the run if too many of its items have failed.
    pub(super) fn check_limit(&self, state: &mut State, now: Timestamp) {
        let excess = self
            .options
            .max_failed_items
            .unwrap_or_default()
            .excess(run::failed_items(&state.run), self.active);
        if let Some(why) = excess.filter(|_| !state.begins_no_more()) {
            tracing::info!(process = self.handle.name(), "{why}");
            state.stop(now, &why);
        }
    }

    /// Counts an error of an item.
    pub(super) fn item_error(&self, id: ItemId, text: &str) {
        let mut state = self.lock();
        let now = self.now(&mut state);
        let Some(item) = state.in_flight.change(id) else { return };
        item.has_failed = true;
        let text_of_run = format!("{}: {text}", item.name);
        errors::record(item.status(), errors::ITEM_ERRORS_MAX, now, text);
        state.count_error(now, &text_of_run);
    }

    /// Counts an error of the run as a whole.
    pub(super) fn run_error(&self, text: &str) {
        let mut state = self.lock();
        let now = self.now(&mut state);
        state.run_error(now, text);
    }

    /// Adds to a counter of the run.
    pub(super) fn add_stat(&self, label: &str, value: f64) {
        let mut state = self.lock();
        let added = state.add_stat(label, value);
        self.note_refusal(&mut state, added);
    }

    /// Adds to a counter of an item and of the run.
    pub(super) fn add_item_stat(&self, id: ItemId, label: &str, value: f64) {
        let mut state = self.lock();
        let added = state.add_item_stat(id, label, value);
        self.note_refusal(&mut state, added);
    }

    /// Records a refused statistic as an error of the run.
    ///
    /// Only the first one: a program that makes up labels makes many.
    fn note_refusal(&self, state: &mut State, added: Result<(), Refused>) {
        let Err(Refused(text)) = added else { return };
        if !std::mem::replace(&mut state.has_refused, true) {
            let now = self.now(state);
            state.run_error(now, &text);
        }
    }

    /// Aborts the run early, with the reason as an error.
    pub(super) fn abort(&self, reason: &str) {
        let mut state = self.lock();
        let now = self.now(&mut state);
        state.abort(now, reason);
    }

    /// Keeps the failure of a call without a result for the next call that can return it.
    pub(super) fn keep_failure(&self, error: Error) {
        let mut state = self.lock();
        if state.loss().is_none() {
            state.pending.get_or_insert(error);
        }
    }
}

/// Adds the preconditions of every owner write: the owner is unchanged, and so are the settings.
pub(super) fn fenced(batch: Batch, owner: (&Key, u64), settings: (&Key, Expect)) -> Batch {
    batch.expect(owner.0.clone(), Expect::Version(owner.1)).expect(settings.0.clone(), settings.1)
}

impl fmt::Debug for FencedRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FencedRun").field("process", &self.handle.name()).finish_non_exhaustive()
    }
}
