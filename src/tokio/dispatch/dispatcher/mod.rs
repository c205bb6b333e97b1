//! Executes a run: hands items to tasks, and supervises them.
//!
//! One future makes all decisions. It checks everything whenever a task ends, a stop is requested,
//! or a time has come, and never blocks on the disk.

mod cut_short;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::error::Result;
use crate::run::{Advanced, Ending, Progress, Run, WorkItem};
use crate::runner::{FlowControl, Outcome, Shutdown};
use crate::store::Store;
use crate::tokio::AsyncRunner;
use crate::tokio::call::call;
use crate::tokio::dispatch::attempt::Attempt;
use crate::tokio::dispatch::either::{either, give_way};
use crate::tokio::dispatch::end::{End, OwnedRun, StepResult, conclude};
use crate::tokio::dispatch::in_flight::{CancelReason, GracePeriods, InFlight, Running};
use crate::tokio::dispatch::mailbox::{Event, Mailbox, Verdict};
use crate::tokio::dispatch::task::{RunContext, Task};
use crate::tokio::stop::Stop;
use crate::tokio::synced::{ready, synced};

/// The minimum number of items waiting for a retry above which no new ones begin.
const WAITING_MAX: usize = 1024;

/// The number of items that end and begin in one commit before other tasks of the runtime get a
/// turn.
const TURN: usize = 32;

/// The error of an item cancelled on request.
const CANCELLED: &str = "cancelled";

pub(crate) struct Dispatcher<'a> {
    runner: &'a AsyncRunner,
    /// Before the items: dropped first, the run is left unfinished, and they write nothing.
    run: OwnedRun,
    context: RunContext,
    in_flight: InFlight,
    /// Failed items waiting for a retry, by due time.
    waiting: BTreeMap<(Duration, u64), Waiting>,
    /// Ends to be stored with the next items that begin.
    ends: Vec<Ending>,
    /// Items that have begun in the store, whose tasks have not started.
    to_start: Vec<WorkItem>,
    /// Interrupted items, for the instance that resumes the run.
    unfinished: Vec<WorkItem>,
    events: VecDeque<(u64, Event)>,
    last_id: u64,
    /// Whether there are no more items to take.
    is_all_taken: bool,
    /// Whether an item was deprived of attempts because the runner is stopping.
    is_cut_short: bool,
    /// Whether the deadline of the stop request has passed.
    is_past_deadline: bool,
    /// When the last new item began, on the monotonic clock.
    last_taken: Option<Duration>,
}

/// A failed item waiting for a retry.
struct Waiting {
    item: WorkItem,
}

impl<'a> Dispatcher<'a> {
    pub(crate) fn new(runner: &'a AsyncRunner, mut run: Run) -> Self {
        // Also when the last shared handle is dropped.
        run.leave_when_dropped();
        let options = &runner.options;
        let context = RunContext {
            store: runner.store().clone(),
            is_synced: options.is_synced,
            mailbox: Arc::new(Mailbox::default()),
            shared: runner.shared.clone(),
        };
        runner.shared.set_mailbox(Arc::downgrade(&context.mailbox));
        let grace = GracePeriods { cancel: options.cancel_grace, stop: options.stop_grace };
        Self {
            runner,
            run: OwnedRun::new(run),
            context,
            in_flight: InFlight::new(grace),
            waiting: BTreeMap::new(),
            ends: Vec::new(),
            to_start: Vec::new(),
            unfinished: Vec::new(),
            events: VecDeque::new(),
            last_id: 0,
            is_all_taken: false,
            is_cut_short: false,
            is_past_deadline: false,
            last_taken: None,
        }
    }

    /// Executes the run to its end.
    pub(crate) async fn run(mut self) -> Result<Outcome> {
        let end = self.work().await;
        if let End::Lost(_) | End::Lapsed | End::Failed(_) = end {
            self.leave_run().await;
        }
        let Self { run, unfinished, context, .. } = self;
        conclude(unfinished, run, end, &context.store).await
    }

    async fn work(&mut self) -> End {
        let mut asked = self.runner.shared.subscribe();
        loop {
            let stepped = match ready(self.store()).await {
                Ok(()) => self.step().await,
                Err(error) => Err(error.into()),
            };
            let is_busy = match stepped {
                Ok(is_busy) => is_busy,
                Err(end) => return end,
            };
            if self.context.is_synced
                && let Err(error) = synced(self.store()).await
            {
                return error.into();
            }
            self.start_all();
            if is_busy {
                give_way().await;
                continue;
            }
            let longest = self.runner.clock().longest_sleep(self.time_to_next_look());
            let changed = async { drop(asked.changed().await) };
            let _ = tokio::time::timeout(longest, either(self.context.mailbox.arrived(), changed)).await;
        }
    }

    /// Returns whether there is more to do at once.
    async fn step(&mut self) -> StepResult<bool> {
        if self.run.is_lapsed() {
            return Err(End::Lapsed);
        }
        self.collect();
        self.check_cancels();
        self.check_timers().await?;
        self.check_stop();
        let is_cutting = self.cut_retries().await?;
        let is_busy = !is_cutting && self.assign().await?;
        self.check_end()?;
        self.show_life().await?;
        Ok(is_busy || is_cutting || !self.events.is_empty())
    }

    /// Takes back the items of ended tasks.
    fn collect(&mut self) {
        self.events.extend(self.context.mailbox.take());
        for _ in 0..TURN {
            let Some((id, event)) = self.events.pop_front() else { break };
            match event {
                Event::Over => {
                    let _ = self.in_flight.cancel(id, CancelReason::Over, self.runner.monotonic());
                }
                Event::Ended(verdict) => {
                    if let Some(item) = self.in_flight.remove(id) {
                        self.settle(&item, verdict);
                    }
                }
            }
        }
    }

    fn settle(&mut self, ended: &Running, verdict: Verdict) {
        let task = &ended.task;
        let Some(mut item) = task.take_item() else { return };
        match (verdict, ended.why) {
            // Not retried, since a bug of the program does not go away.
            (Verdict::Panicked(text), _) => {
                return self.ends.push(item.into_abort(&format!("the worker panicked: {text}")));
            }
            // Also if the runtime shuts down.
            (Verdict::Dropped, None | Some(CancelReason::Stopping))
            | (Verdict::Failed(_), Some(CancelReason::Stopping)) => {
                return self.unfinished.push(item);
            }
            (Verdict::Failed(text), None | Some(CancelReason::Over)) => {
                item.add_error(text);
                return self.retry(task, item, true);
            }
            // Whatever its result.
            (_, Some(CancelReason::Asked)) => {
                item.add_error(CANCELLED);
                return self.ends.push(item.into_end());
            }
            // The timeout is its error; the future's result is not another one.
            (Verdict::Failed(_) | Verdict::Dropped | Verdict::Done, _) => {}
        }
        self.retry(task, item, task.has_errors());
    }

    fn retry(&mut self, task: &Task, mut item: WorkItem, has_failed: bool) {
        let retry = &self.runner.options.retry;
        if !has_failed || !retry.is_left_after(task.attempt) || self.run.is_over() {
            return self.ends.push(item.into_end());
        }
        let due = self.runner.monotonic().saturating_add(retry.backoff(task.attempt));
        let id = self.next_id();
        item.note_failed_attempt();
        self.waiting.insert((due, id), Waiting { item });
    }

    /// Stores ends and begins items, in one commit; returns whether there may be more.
    async fn assign(&mut self) -> StepResult<bool> {
        let (flow, now) = (self.flow(), self.runner.monotonic());
        self.begin_attempts(&flow, now);
        let wanted = self.wanted(&flow, now);
        if wanted == 0 && self.ends.is_empty() {
            return Ok(false);
        }
        let (run, ends) = (self.run.share(), std::mem::take(&mut self.ends));
        let advanced = call(self.store(), move || run.advance(ends, wanted)).await?;
        let Advanced { items, has_new_settings } = advanced;
        self.is_all_taken |= items.len() < wanted && !has_new_settings;
        if !items.is_empty() {
            self.last_taken = Some(now);
        }
        self.to_start.extend(items);
        Ok(wanted > 0 && !self.is_all_taken)
    }

    /// Begins due retries, which the store already knows.
    fn begin_attempts(&mut self, flow: &FlowControl, now: Duration) {
        while self.in_hand() < flow.concurrency
            && let Some(entry) = self.waiting.first_entry()
            && entry.key().0 <= now
        {
            let Waiting { mut item } = entry.remove();
            item.begin_attempt();
            self.to_start.push(item);
        }
    }

    /// Returns how many new items begin now.
    fn wanted(&self, flow: &FlowControl, now: Duration) -> usize {
        if !self.accepts_new(flow) || !self.until_next_item(flow, now).is_zero() {
            return 0;
        }
        let at_once = if flow.spacing().is_zero() { TURN } else { 1 };
        flow.concurrency.saturating_sub(self.in_hand()).min(at_once)
    }

    /// Starts the tasks of begun items, once their begin is as durable as required.
    fn start_all(&mut self) {
        let now = self.runner.monotonic();
        let due = self.runner.options.item_timeout.map(|timeout| now.saturating_add(timeout));
        for item in std::mem::take(&mut self.to_start) {
            let attempt = item.attempt();
            let id = self.next_id();
            let task = Arc::new(Task::new(&self.context, id, item, attempt));
            let spawned = tokio::spawn(Attempt::new(&self.runner.start, &task));
            self.in_flight.add(task, spawned.abort_handle(), due);
        }
    }

    /// Returns how many items are in progress, without those waiting for a retry.
    fn in_hand(&self) -> usize {
        self.in_flight.len() + self.to_start.len()
    }

    fn check_end(&self) -> StepResult {
        if self.in_hand() > 0 || !self.waiting.is_empty() {
            return Ok(());
        }
        if !self.unfinished.is_empty() && !self.run.is_over() {
            return Err(End::HandBack);
        }
        if self.is_all_taken || self.run.is_over() || self.run.begins_no_more() {
            let goes_on = self.is_cut_short && self.hands_back() && !self.run.is_over();
            return Err(if goes_on { End::HandBack } else { End::Done });
        }
        if self.hands_back() || (self.stop().is_some() && self.flow().is_paused) {
            return Err(End::HandBack);
        }
        Ok(())
    }

    /// Sends heartbeats for workers whose futures are alive, within their time limits, and not
    /// blocking their threads; stores their statistics too.
    async fn show_life(&mut self) -> StepResult {
        if !self.is_beating() {
            return Ok(());
        }
        let is_urgent = self.run.lapses_in() < self.runner.options.claim.timeout() / 2;
        let run = self.run.share();
        let report = move || if is_urgent { run.progress_now() } else { run.progress() };
        let progress = call(self.store(), report).await?;
        match self.run.loss().filter(|_| progress == Progress::Conflict) {
            Some(loss) => Err(End::Lost(loss)),
            None => Ok(()),
        }
    }

    fn is_beating(&self) -> bool {
        let options = &self.runner.options;
        // This checks all items, so it runs only if there is something to write.
        let shown = options.claim.timeout().saturating_sub(self.run.lapses_in());
        shown >= options.beat_interval
            && !self.in_flight.is_wedged(self.runner.monotonic(), options.claim.timeout() / 2)
    }

    /// Returns how long until something can happen without a notification.
    fn time_to_next_look(&self) -> Duration {
        let now = self.runner.monotonic();
        let mut time = self.run.lapses_in().min(self.runner.options.beat_interval);
        let mut until = |at: Option<Duration>| {
            time = at.map_or(time, |at| time.min(at.saturating_sub(now)));
        };
        until(self.in_flight.next_due());
        until(self.stop().filter(|_| !self.is_past_deadline).map(|stop| stop.deadline));
        let flow = self.flow();
        if self.in_hand() < flow.concurrency {
            until(self.waiting.first_key_value().map(|((due, _), _)| *due));
            if self.accepts_new(&flow) {
                time = time.min(self.until_next_item(&flow, now));
            }
        }
        time
    }

    /// Drops every future and takes its item back without a write; waits until all are gone.
    async fn leave_run(&mut self) {
        let began = self.runner.monotonic();
        let items = self.in_flight.lose_all(began);
        self.run.leave();
        drop(items);
        self.waiting.clear();
        self.to_start.clear();
        self.unfinished.clear();
        let until = began.saturating_add(self.runner.options.stop_grace);
        loop {
            self.events.extend(self.context.mailbox.take());
            for (id, event) in self.events.drain(..) {
                if matches!(event, Event::Ended(_)) {
                    self.in_flight.remove(id);
                }
            }
            let remaining = until.saturating_sub(self.runner.monotonic());
            if self.in_flight.is_empty() || remaining.is_zero() {
                break;
            }
            let longest = self.runner.clock().longest_sleep(remaining);
            let _ = tokio::time::timeout(longest, self.context.mailbox.arrived()).await;
        }
        for task in self.in_flight.tasks().filter(|task| task.abandon()) {
            tracing::error!(work = &*task.name, "a future blocks its thread and cannot be dropped");
        }
    }

    fn accepts_new(&self, flow: &FlowControl) -> bool {
        let waiting_max = WAITING_MAX.max(flow.concurrency);
        let continues = !self.hands_back() && !self.run.is_over();
        continues && !self.is_all_taken && !flow.is_paused && self.waiting.len() < waiting_max
    }

    fn until_next_item(&self, flow: &FlowControl, now: Duration) -> Duration {
        self.last_taken.map_or(Duration::ZERO, |last| last.saturating_add(flow.spacing()).saturating_sub(now))
    }

    fn flow(&self) -> FlowControl {
        let max = crate::tokio::options::CONCURRENCY_MAX;
        self.runner.options.flow.with_settings_up_to(max, |name| self.run.setting(name))
    }

    fn stop(&self) -> Option<Stop> {
        self.runner.shared.stop()
    }

    fn hands_back(&self) -> bool {
        self.is_past_deadline || self.stop().is_some_and(|stop| stop.how != Shutdown::Finish)
    }

    fn store(&self) -> &Store {
        &self.context.store
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::proto::Params;
    use crate::run::{Claim, ClaimOptions, Instance};
    use crate::tokio::AsyncRunner;

    /// A run that another instance has taken over without its knowledge.
    #[tokio::test]
    async fn a_loss_names_the_new_owner_wherever_it_is_found() {
        for find in 0..3 {
            let clock = ManualClock::new("2026-11-23T12:00:00Z".parse().unwrap());
            let store = Store::builder().clock(clock.clone()).in_memory();
            let process = store.process("p").unwrap();
            process.register("w", Params::new()).unwrap();
            let runner = AsyncRunner::builder(&store, "p").worker_fn(|_| async { Ok(()) }).build().unwrap();
            let won = |instance: &Instance| match process.claim_with(instance, &ClaimOptions::new()).unwrap()
            {
                Claim::Won(run) => run,
                other => panic!("not won: {other:?}"),
            };
            let mut dispatcher = Dispatcher::new(&runner, won(&runner.instance));
            clock.advance(Duration::from_secs(30));
            let other = Instance::new();
            let _kept = won(&other);
            let end = match find {
                0 => dispatcher.show_life().await.unwrap_err(),
                1 => dispatcher.assign().await.unwrap_err(),
                _ => {
                    let outcome = conclude(Vec::new(), dispatcher.run, End::Done, &store).await.unwrap();
                    assert!(matches!(outcome, Outcome::Lost(loss) if loss.by == other.id()));
                    continue;
                }
            };
            assert!(matches!(end, End::Lost(loss) if loss.by == other.id()));
        }
    }
}
