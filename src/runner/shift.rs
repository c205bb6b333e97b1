//! One run: hands items to workers, and watches over both.
//!
//! All decisions are made on one thread, which looks at everything again
//! whenever a worker returns, somebody asks to stop, or a time has come.

use std::sync::Arc;
use std::time::Duration;

use super::flow::Flow;
use super::seat::Seat;
use super::stop::Shutdown;
use super::task::{Task, Verdict};
use super::{Outcome, Runner};
use crate::clock::Clock;
use crate::error::{Error, Failure, Result};
use crate::run::{Loss, Progress, Run, WorkItem};

/// How many failed items wait for another attempt before no new ones are begun.
const WAITING_MAX: usize = 1024;

pub(super) struct Shift<'a> {
    runner: &'a Runner,
    run: Run,
    idle: Vec<Seat>,
    busy: Vec<Busy>,
    /// Never more than [`WAITING_MAX`] and the threads.
    waiting: Vec<Waiting>,
    /// Threads that were left behind in this run.
    abandoned: usize,
    /// There are no more items to take.
    is_all_taken: bool,
    /// An item did not get all its attempts because the runner is to stop.
    is_cut_short: bool,
    /// When the last new item began, by the monotonic clock.
    last_taken: Option<Duration>,
}

/// An item that a worker is on.
struct Busy {
    seat: Seat,
    task: Arc<Task>,
    began: Duration,
    /// When its worker was told to stop.
    told: Option<Duration>,
    is_timed_out: bool,
}

/// An item that has failed and gets another attempt.
struct Waiting {
    item: WorkItem,
    attempt: u32,
    due: Duration,
}

/// How the work on a run ends.
enum End {
    /// The run is to be finished.
    Done,
    HandBack,
    Lost(Loss),
    Lapsed,
    /// No thread is left to work on.
    Stuck,
    Failed(Error),
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        loss_of(&error).map_or_else(|| Self::Failed(error), Self::Lost)
    }
}

fn loss_of(error: &Error) -> Option<Loss> {
    match error.failure() {
        Failure::Conflict { by, since, .. } => Some(Loss { by: by.clone(), since: *since }),
        _ => None,
    }
}

/// Going on, or the end.
type Flowing<T = ()> = Result<T, End>;

impl<'a> Shift<'a> {
    pub(super) fn new(runner: &'a Runner, run: Run) -> Self {
        Self {
            runner,
            run,
            idle: Vec::new(),
            busy: Vec::new(),
            waiting: Vec::new(),
            abandoned: 0,
            is_all_taken: false,
            is_cut_short: false,
            last_taken: None,
        }
    }

    /// Does the run to its end.
    pub(super) fn run(mut self) -> Result<Outcome> {
        let end = self.work();
        if let End::Lost(_) | End::Lapsed | End::Failed(_) = end {
            self.let_go();
        }
        self.idle.drain(..).for_each(Seat::close);
        conclude(self.run, end)
    }

    fn work(&mut self) -> End {
        let signal = &self.runner.shared.signal;
        loop {
            let seen = signal.seen();
            if let Err(end) = self.step() {
                return end;
            }
            signal.wait(seen, self.clock(), self.time_to_next_look());
        }
    }

    fn step(&mut self) -> Flowing {
        if self.run.is_lapsed() {
            return Err(End::Lapsed);
        }
        self.collect()?;
        self.check_busy()?;
        self.cut_retries()?;
        self.assign()?;
        self.check_end()?;
        self.show_life()
    }

    /// Takes back the items whose workers have returned.
    fn collect(&mut self) -> Flowing {
        let mut index = 0;
        while let Some(busy) = self.busy.get(index) {
            let Some(verdict) = busy.task.take_verdict() else {
                index += 1;
                continue;
            };
            let Busy { seat, task, is_timed_out, .. } = self.busy.swap_remove(index);
            self.idle.push(seat);
            let Some(item) = task.take_item() else { continue };
            // That it took too long is its error; what became of it then is no other.
            let verdict = match verdict {
                Verdict::Failed(_) if is_timed_out => Verdict::Done,
                verdict => verdict,
            };
            self.settle(&task, item, verdict)?;
        }
        Ok(())
    }

    fn settle(&mut self, task: &Task, mut item: WorkItem, verdict: Verdict) -> Flowing {
        let has_failed = task.has_errors() || verdict != Verdict::Done;
        match verdict {
            // Not tried again: a fault of the program does not pass with time.
            Verdict::Panicked(text) => return Ok(item.abort(format!("the worker panicked: {text}"))?),
            Verdict::Failed(text) => item.add_error(text),
            Verdict::Done => {}
        }
        let retry = &self.runner.options.retry;
        if !has_failed || !retry.is_left_after(task.attempt()) || self.run.is_over() {
            return Ok(item.finish()?);
        }
        let due = self.now().saturating_add(retry.backoff(task.attempt()));
        self.waiting.push(Waiting { item, attempt: task.attempt() + 1, due });
        Ok(())
    }

    /// Tells the workers that have to stop, and leaves behind those that do not.
    fn check_busy(&mut self) -> Flowing {
        let (now, is_over) = (self.now(), self.run.is_over());
        let options = &self.runner.options;
        for busy in self.busy.iter_mut().filter(|busy| busy.task.is_running()) {
            if let Some(timeout) = options.item_timeout {
                busy.check_time(now, timeout);
            }
            if is_over || busy.task.is_over() {
                busy.tell(now);
            }
        }
        let is_given_up =
            |busy: &Busy| busy.told.is_some_and(|told| now >= told.saturating_add(options.stop_grace));
        while let Some(index) = self.busy.iter().position(is_given_up) {
            let busy = self.busy.swap_remove(index);
            self.abandon(busy)?;
        }
        Ok(())
    }

    fn abandon(&mut self, busy: Busy) -> Flowing {
        if !busy.task.abandon() {
            // It has returned at the last moment.
            self.busy.push(busy);
            return self.collect();
        }
        self.abandoned += 1;
        let (process, work) = (self.run.process().name(), busy.task.name());
        tracing::error!(process, work, "a worker does not stop; its thread is left behind");
        let Some(item) = busy.task.take_item() else { return Ok(()) };
        Ok(item.abort("the worker did not stop when it was told to; its thread was left behind")?)
    }

    /// Once the runner is to stop, or the run takes no more, no item waits for
    /// another attempt.
    fn cut_retries(&mut self) -> Flowing {
        if self.stop().is_none() && !self.run.is_over() && !self.run.takes_no_more() {
            return Ok(());
        }
        while let Some(waiting) = self.waiting.pop() {
            self.is_cut_short = true;
            waiting.item.finish()?;
        }
        Ok(())
    }

    /// Gives every free thread something to do.
    fn assign(&mut self) -> Flowing {
        loop {
            let flow = self.flow();
            if !self.has_free_seat(&flow) {
                return Ok(());
            }
            let Some((item, attempt)) = self.next_attempt(&flow)? else { return Ok(()) };
            self.begin(item, attempt)?;
        }
    }

    fn next_attempt(&mut self, flow: &Flow) -> Flowing<Option<(WorkItem, u32)>> {
        let now = self.now();
        if let Some(index) = self.waiting.iter().position(|waiting| waiting.due <= now) {
            let Waiting { mut item, attempt, .. } = self.waiting.swap_remove(index);
            item.begin_attempt();
            return Ok(Some((item, attempt)));
        }
        if !self.takes_new(flow) || !self.until_next_item(flow, now).is_zero() {
            return Ok(None);
        }
        let item = self.run.next_work()?;
        match &item {
            None => self.is_all_taken = true,
            Some(_) => self.last_taken = Some(now),
        }
        Ok(item.map(|item| (item, 1)))
    }

    fn begin(&mut self, item: WorkItem, attempt: u32) -> Flowing {
        let started = self.idle.pop().map_or_else(|| Seat::start(self.run.process().name()), Ok);
        let seat = match started {
            Ok(seat) => seat,
            Err(error) => {
                // Kept until the run is left: dropped now, it would count as done.
                self.waiting.push(Waiting { item, attempt, due: self.now() });
                return Err(End::Failed(self.runner.failure(format!("no thread for a worker: {error}"))));
            }
        };
        let task = Task::new(self.runner.worker.clone(), self.runner.shared.clone(), item, attempt);
        let task = Arc::new(task);
        seat.give(task.clone());
        self.busy.push(Busy { seat, task, began: self.now(), told: None, is_timed_out: false });
        Ok(())
    }

    fn check_end(&self) -> Flowing {
        if !self.busy.is_empty() || !self.waiting.is_empty() {
            return Ok(());
        }
        if self.is_all_taken || self.run.is_over() {
            let goes_on = self.is_cut_short && self.stop() == Some(Shutdown::HandBack) && !self.run.is_over();
            return Err(if goes_on { End::HandBack } else { End::Done });
        }
        let flow = self.flow();
        match self.stop() {
            Some(Shutdown::HandBack) => return Err(End::HandBack),
            Some(Shutdown::Finish) if flow.is_paused => return Err(End::HandBack),
            _ => {}
        }
        if self.abandoned >= flow.concurrency { Err(End::Stuck) } else { Ok(()) }
    }

    /// Signs of life are the workers' own to give. The runner gives them while
    /// nobody works, and if it was told to.
    fn show_life(&self) -> Flowing {
        if !self.is_beating() {
            return Ok(());
        }
        let is_urgent = self.run.lapses_in() < self.runner.options.claim.timeout() / 2;
        let progress = if is_urgent { self.run.progress_now()? } else { self.run.progress()? };
        match self.run.loss().filter(|_| progress == Progress::Conflict) {
            Some(loss) => Err(End::Lost(loss)),
            None => Ok(()),
        }
    }

    fn is_beating(&self) -> bool {
        let is_wedged = self.busy.iter().any(|busy| busy.told.is_some());
        self.busy.is_empty() || (self.runner.options.beats_by_itself && !is_wedged)
    }

    /// How long nothing can happen that does not raise the signal.
    fn time_to_next_look(&self) -> Duration {
        let (now, options) = (self.now(), &self.runner.options);
        let mut time = self.run.lapses_in();
        if self.is_beating() {
            time = time.min(options.beat_interval);
        }
        for busy in &self.busy {
            let next = match (busy.told, options.item_timeout) {
                (Some(told), _) => told.saturating_add(options.stop_grace),
                (None, Some(timeout)) => busy.began.saturating_add(timeout),
                (None, None) => continue,
            };
            time = time.min(next.saturating_sub(now));
        }
        let flow = self.flow();
        if self.has_free_seat(&flow) {
            for waiting in &self.waiting {
                time = time.min(waiting.due.saturating_sub(now));
            }
            if self.takes_new(&flow) {
                time = time.min(self.until_next_item(&flow, now));
            }
        }
        time
    }

    /// Takes every item out of the workers' hands, without a word to the store,
    /// and gives them time to return.
    fn let_go(&mut self) {
        let (signal, told) = (&self.runner.shared.signal, self.now());
        let items: Vec<WorkItem> = self.busy.iter().filter_map(|busy| busy.task.lose()).collect();
        self.run.leave();
        drop(items);
        self.waiting.clear();
        let until = told.saturating_add(self.runner.options.stop_grace);
        loop {
            let seen = signal.seen();
            let remaining = until.saturating_sub(self.now());
            if remaining.is_zero() || !self.busy.iter().any(|busy| busy.task.is_running()) {
                break;
            }
            signal.wait(seen, self.clock(), remaining);
        }
        for busy in self.busy.drain(..) {
            if busy.task.abandon() {
                tracing::error!(work = busy.task.name(), "a worker does not stop; its thread is left behind");
            } else {
                self.idle.push(busy.seat);
            }
        }
    }

    fn takes_new(&self, flow: &Flow) -> bool {
        let may_go_on = self.stop() != Some(Shutdown::HandBack) && !self.run.is_over();
        may_go_on && !self.is_all_taken && !flow.is_paused && self.waiting.len() < WAITING_MAX
    }

    fn until_next_item(&self, flow: &Flow, now: Duration) -> Duration {
        self.last_taken.map_or(Duration::ZERO, |last| last.saturating_add(flow.spacing()).saturating_sub(now))
    }

    fn has_free_seat(&self, flow: &Flow) -> bool {
        self.busy.len() + self.abandoned < flow.concurrency
    }

    fn flow(&self) -> Flow {
        self.runner.options.flow.with_settings(|name| self.run.setting(name))
    }

    fn stop(&self) -> Option<Shutdown> {
        self.runner.shared.stop()
    }

    fn clock(&self) -> &dyn Clock {
        &*self.runner.handle.store().inner.clock
    }

    fn now(&self) -> Duration {
        self.clock().monotonic()
    }
}

impl Busy {
    fn check_time(&mut self, now: Duration, timeout: Duration) {
        if !self.is_timed_out && now >= self.began.saturating_add(timeout) {
            self.is_timed_out = true;
            self.task.add_error(&format!("timed out after {timeout:?}"));
            self.tell(now);
        }
    }

    fn tell(&mut self, now: Duration) {
        self.told.get_or_insert(now);
        self.task.stop();
    }
}

/// Writes the end of a run that is still this instance's.
fn conclude(run: Run, end: End) -> Result<Outcome> {
    let ended = match end {
        End::Done => run.finish().map(Outcome::Finished),
        End::Stuck => run.abort("every worker ignored that it should stop").map(Outcome::Finished),
        End::HandBack => run.hand_back().map(|()| Outcome::HandedBack),
        End::Lost(loss) => return Ok(Outcome::Lost(loss)),
        End::Lapsed => return Ok(Outcome::Lapsed),
        End::Failed(error) => return Err(error),
    };
    ended.or_else(|error| match loss_of(&error) {
        Some(loss) => Ok(Outcome::Lost(loss)),
        None => Err(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::proto::Params;
    use crate::run::{Claim, ClaimOptions, Instance};
    use crate::store::Store;

    /// A run that another instance has taken over, which it does not know yet.
    fn taken_over(then: impl FnOnce(Shift<'_>, &Instance)) {
        let clock = ManualClock::new("2026-11-23T12:00:00Z".parse().unwrap());
        let store = Store::builder().clock(clock.clone()).in_memory();
        let process = store.process("p").unwrap();
        process.register("w", Params::new()).unwrap();
        let runner = Runner::builder(&store, "p").worker_fn(|_| Ok(())).build().unwrap();
        let won = |instance: &Instance| match process.claim_with(instance, &ClaimOptions::new()).unwrap() {
            Claim::Won(run) => run,
            other => panic!("not won: {other:?}"),
        };
        let run = won(&runner.instance);
        clock.advance(Duration::from_secs(30));
        let other = Instance::new();
        let _kept = won(&other);
        then(Shift::new(&runner, run), &other);
    }

    #[test]
    fn a_loss_is_told_with_its_winner_wherever_it_is_found() {
        taken_over(|shift, other| {
            assert!(matches!(shift.show_life(), Err(End::Lost(loss)) if loss.by == other.id()));
        });
        taken_over(|mut shift, other| {
            assert!(matches!(shift.assign(), Err(End::Lost(loss)) if loss.by == other.id()));
        });
        for end in [End::Done, End::HandBack, End::Stuck] {
            taken_over(|shift, other| {
                let outcome = conclude(shift.run, end).unwrap();
                assert!(matches!(outcome, Outcome::Lost(loss) if loss.by == other.id()));
            });
        }
    }
}
