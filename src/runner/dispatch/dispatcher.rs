//! The dispatcher: worker threads take their next items themselves; it decides whether they may,
//! and tracks the items in progress.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::attempt::{Attempt, Verdict};
use super::end::End;
use super::in_flight::{InFlight, Waiting, WorkerThread};
use super::worker_thread::{self, AttemptSource};
use crate::clock::Clock;
use crate::error::Failure;
use crate::run::{Ending, Run, WorkItem};
use crate::runner::Runner;
use crate::runner::options::Options;
use crate::runner::stop::{Shared, Shutdown};
use crate::runner::worker::Worker;

/// The number of items waiting for a retry above which no new ones begin.
const WAITING_MAX: usize = 1024;

/// The maximum number of items that begin in one commit.
const BATCH_MAX: usize = 64;

/// The duration below which an attempt is quick: storing its end takes longer.
///
/// Such ends are stored together, shortly afterwards by the supervisor at the latest.
const QUICK_MAX: Duration = Duration::from_micros(100);

/// The duration below which an attempt ends before another thread could be awake.
const TRIVIAL_MAX: Duration = Duration::from_micros(5);

/// The state shared by the threads of a run.
pub(crate) struct Dispatcher {
    pub(crate) run: Run,
    pub(crate) worker: Arc<dyn Worker>,
    pub(crate) options: Arc<Options>,
    pub(crate) shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    in_flight: Mutex<InFlight>,
    /// Wakes idle worker threads.
    has_work: Condvar,
}

/// What a thread may do next.
enum Next {
    /// An item that another thread has begun.
    Ready(WorkItem),
    Retry(Waiting),
    /// Take up to this many items, as of this monotonic time.
    NewItems(usize, Duration),
    /// Wait: another thread is about to take items, and stores ends meanwhile.
    Wait,
    Nothing,
    Closed,
}

impl Dispatcher {
    pub(crate) fn new(runner: &Runner, run: Run) -> Arc<Self> {
        let dispatcher = Arc::new(Self {
            run,
            worker: runner.worker.clone(),
            options: runner.options.clone(),
            shared: runner.shared.clone(),
            clock: runner.handle.store().inner.clock.clone(),
            in_flight: Mutex::new(InFlight::new(runner.options.flow.clone())),
            has_work: Condvar::new(),
        });
        let weak: Weak<Self> = Arc::downgrade(&dispatcher);
        runner.shared.set_run(weak);
        dispatcher
    }

    /// Stores the pending ends before the thread continues with a begun item, unless it leaves them
    /// to the next thread that takes items.
    fn store_ends_unless(&self, leaves: bool, mut in_flight: MutexGuard<'_, InFlight>) {
        if in_flight.ends.is_empty() {
            return;
        }
        if leaves {
            return self.watch(&mut in_flight);
        }
        let ends = in_flight.take_ends();
        drop(in_flight);
        // A failure ends the run, and nothing begins.
        let _ = self.store_ends(ends);
    }

    /// Asks the supervisor to check shortly whether threads still go from item to item.
    fn watch(&self, in_flight: &mut InFlight) {
        if !std::mem::replace(&mut in_flight.is_watched, true) {
            self.shared.signal.raise();
        }
    }

    /// Waits, as idle, until there may be something to do.
    fn idle(&self, in_flight: &mut MutexGuard<'_, InFlight>) {
        in_flight.busy -= 1;
        in_flight.idle += 1;
        // The supervisor handles items that are due later, and the end of the run.
        if in_flight.busy == 0 || !in_flight.waiting.is_empty() || !in_flight.flow.spacing().is_zero() {
            self.shared.signal.raise();
        }
        loop {
            self.has_work.wait(in_flight);
            in_flight.is_waking = false;
            let now = self.now();
            if in_flight.is_closed || self.has_work_for_another(in_flight, now) {
                break;
            }
        }
        in_flight.idle -= 1;
        in_flight.busy += 1;
    }

    /// Decides what a busy thread may do next.
    fn choose(&self, in_flight: &mut InFlight) -> Next {
        if in_flight.is_closed || in_flight.end.is_some() {
            return Next::Closed;
        }
        self.update_flow(in_flight);
        if in_flight.busy + in_flight.abandoned > in_flight.flow.concurrency {
            return Next::Nothing;
        }
        if self.shared.stop() == Some(Shutdown::Now) || self.run.is_over() {
            in_flight.strand_ready();
        }
        if let Some(item) = in_flight.ready.pop_front() {
            return Next::Ready(item);
        }
        let now = self.now();
        if self.may_retry()
            && let Some(waiting) = in_flight.take_due(now)
        {
            return Next::Retry(waiting);
        }
        if in_flight.is_taking {
            return Next::Wait;
        }
        // Includes this thread's own place.
        let places = in_flight.places() + 1;
        if !self.may_begin_new(in_flight, now) {
            return Next::Nothing;
        }
        in_flight.last_taken = Some(now);
        let is_rated = !in_flight.flow.spacing().is_zero();
        Next::NewItems(if is_rated { 1 } else { places.min(BATCH_MAX) }, now)
    }

    /// Reports whether another thread has something to do.
    fn has_work_for_another(&self, in_flight: &mut InFlight, now: Duration) -> bool {
        self.update_flow(in_flight);
        if in_flight.is_closed || !in_flight.has_free_thread() {
            return false;
        }
        if !in_flight.ready.is_empty() {
            return true;
        }
        (self.may_retry() && in_flight.next_due().is_some_and(|due| due <= now))
            || (!in_flight.is_taking && in_flight.places() > 0 && self.may_begin_new(in_flight, now))
    }

    /// Returns how long until an idle thread has something to do without a notification.
    pub(crate) fn time_to_next_begin(&self, in_flight: &mut InFlight, now: Duration) -> Duration {
        if !in_flight.has_free_thread() {
            return Duration::MAX;
        }
        if self.has_work_for_another(in_flight, now) {
            return if in_flight.is_waking { Duration::MAX } else { Duration::ZERO };
        }
        let retry = in_flight.next_due().map(|due| due.saturating_sub(now));
        let new = Some(in_flight.until_next_item(now)).filter(|_| self.accepts_new(in_flight));
        [retry, new].into_iter().flatten().filter(|time| !time.is_zero()).min().unwrap_or(Duration::MAX)
    }

    fn may_retry(&self) -> bool {
        self.shared.stop().is_none() && !self.run.is_over() && !self.run.begins_no_more()
    }

    fn may_begin_new(&self, in_flight: &InFlight, now: Duration) -> bool {
        self.accepts_new(in_flight) && in_flight.until_next_item(now).is_zero()
    }

    /// Reports whether new items begin now or later.
    fn accepts_new(&self, in_flight: &InFlight) -> bool {
        let continues = matches!(self.shared.stop(), None | Some(Shutdown::Finish)) && !self.run.is_over();
        continues
            && !in_flight.is_all_taken
            && !in_flight.flow.is_paused
            && in_flight.waiting.len() < WAITING_MAX
    }

    /// Wakes or starts one more thread, if there is something to do; that one does the same for the
    /// next.
    pub(crate) fn put_to_work(self: &Arc<Self>, in_flight: &mut InFlight) {
        if !self.has_work_for_another(in_flight, self.now()) {
            return;
        }
        if in_flight.idle > 0 {
            // One at a time: quick items need no others.
            if !std::mem::replace(&mut in_flight.is_waking, true) {
                self.has_work.notify_one();
            }
            return;
        }
        in_flight.busy += 1;
        let thread = in_flight.threads.len();
        let source: Weak<Self> = Arc::downgrade(self);
        match worker_thread::start(source, self.worker.clone(), self.process(), thread) {
            Ok(handle) => {
                in_flight.threads.push(WorkerThread { handle: Some(handle), ..WorkerThread::default() });
            }
            Err(error) => {
                in_flight.busy -= 1;
                let process = self.run.process().name().to_owned();
                let why = format!("no thread for a worker: {error}");
                in_flight.end.get_or_insert(End::Failed(Failure::Runner { process, why }.into()));
                self.shared.signal.raise();
            }
        }
    }

    /// Records the start of an attempt. With `leaves`, the thread will probably come back for the
    /// next item before another one could be awake; if it does not, the supervisor wakes one.
    pub(super) fn begin(
        self: &Arc<Self>,
        thread: usize,
        item: WorkItem,
        leaves: bool,
    ) -> Option<Arc<Attempt>> {
        let number = item.attempt();
        let began = self.now();
        let mut in_flight = self.lock();
        if in_flight.is_closed || in_flight.end.is_some() {
            // Dropping it now would count as completion.
            in_flight.stranded.push(item);
            in_flight.busy -= 1;
            self.shared.signal.raise();
            return None;
        }
        let attempt = Arc::new(Attempt::new(self.shared.clone(), item, number, began));
        in_flight.hold(thread, attempt.clone());
        if !leaves {
            self.put_to_work(&mut in_flight);
        } else if !in_flight.is_streaming && self.has_work_for_another(&mut in_flight, began) {
            in_flight.is_streaming = true;
            self.watch(&mut in_flight);
        }
        drop(in_flight);
        let (process, instance, work) = (self.process(), self.run.instance(), attempt.name());
        tracing::debug!(process, instance, work, attempt = number, "item begun");
        Some(attempt)
    }

    /// Stores ends without beginning items.
    pub(crate) fn store_ends(&self, ends: Vec<Ending>) -> Result<(), ()> {
        self.run.advance(ends, 0).map(drop).map_err(|error| self.note_end(error.into()))
    }

    /// Ends the run because of a thread's result; the first reason counts.
    pub(crate) fn note_end(&self, end: End) {
        self.lock().end.get_or_insert(end);
        self.shared.signal.raise();
    }

    /// Stops threads from taking items, and wakes those that wait.
    pub(crate) fn close(&self) {
        self.lock().close();
        self.has_work.notify_all();
    }

    /// Takes items that were waiting or came too late, which stay unchanged.
    pub(crate) fn take_leftovers(&self) -> Vec<WorkItem> {
        let mut in_flight = self.lock();
        let stranded = std::mem::take(&mut in_flight.stranded);
        let waiting = std::mem::take(&mut in_flight.waiting);
        let ready = std::mem::take(&mut in_flight.ready);
        stranded.into_iter().chain(ready).chain(waiting.into_values().map(|waiting| waiting.item)).collect()
    }

    pub(crate) fn update_flow(&self, in_flight: &mut InFlight) {
        let version = Some(self.run.settings_version());
        if in_flight.flow_version != version {
            in_flight.flow_version = version;
            in_flight.flow = self.options.flow.with_settings(|name| self.run.setting(name));
        }
    }

    pub(crate) fn process(&self) -> &str {
        self.run.process().name()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, InFlight> {
        self.in_flight.lock()
    }

    /// Stores the pending ends, and begins up to `places` items; `None` if the run is over.
    fn take_new_items<'a>(
        &'a self,
        mut in_flight: MutexGuard<'a, InFlight>,
        places: usize,
        asked: Duration,
    ) -> Option<MutexGuard<'a, InFlight>> {
        let ends = in_flight.take_ends();
        // One place is the calling thread's own.
        in_flight.taking += places - 1;
        in_flight.is_taking = true;
        drop(in_flight);
        let advanced = self.run.advance(ends, places);
        let mut in_flight = self.lock();
        in_flight.taking -= places - 1;
        in_flight.is_taking = false;
        match advanced {
            Ok(advanced) => in_flight.note_advance(advanced, places, asked),
            Err(error) => {
                drop(in_flight);
                self.note_end(error.into());
                return None;
            }
        }
        Some(in_flight)
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    pub(crate) fn now(&self) -> Duration {
        self.clock.monotonic()
    }
}

impl AttemptSource for Dispatcher {
    fn next(self: Arc<Self>, thread: usize, ended: Option<(Arc<Attempt>, Verdict)>) -> Option<Arc<Attempt>> {
        let took = ended.as_ref().map(|(attempt, _)| self.now().saturating_sub(attempt.began));
        let was_quick = took.is_none_or(|took| took < QUICK_MAX);
        // A clock that stands still does not tell.
        let mut was_trivial = took.is_some_and(|took| !took.is_zero() && took < TRIVIAL_MAX);
        let ending = ended.and_then(|(attempt, verdict)| self.settle(&attempt, verdict));
        let mut in_flight = self.lock();
        in_flight.release(thread);
        in_flight.ends.extend(ending);
        loop {
            match self.choose(&mut in_flight) {
                Next::Ready(item) => {
                    self.store_ends_unless(was_quick, in_flight);
                    return self.begin(thread, item, was_trivial);
                }
                Next::Retry(Waiting { mut item }) => {
                    self.store_ends_unless(false, in_flight);
                    item.begin_attempt();
                    return self.begin(thread, item, was_trivial);
                }
                Next::NewItems(places, asked) => {
                    in_flight = self.take_new_items(in_flight, places, asked)?;
                }
                Next::Nothing | Next::Closed if !in_flight.ends.is_empty() => {
                    let ends = in_flight.take_ends();
                    drop(in_flight);
                    self.store_ends(ends).ok()?;
                    in_flight = self.lock();
                }
                Next::Wait | Next::Nothing => {
                    self.idle(&mut in_flight);
                    was_trivial = false;
                }
                Next::Closed => {
                    in_flight.busy -= 1;
                    self.shared.signal.raise();
                    return None;
                }
            }
        }
    }

    fn fail(&self, why: String) {
        let process = self.process().to_owned();
        self.note_end(End::Failed(Failure::Runner { process, why }.into()));
    }
}
