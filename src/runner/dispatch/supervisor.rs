//! Supervises a run: time limits, due retries, heartbeats, and the end.
//!
//! The supervisor's thread checks everything whenever a worker thread is idle, a stop is requested,
//! or a time has come. While items follow one another it sleeps.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use super::attempt::Attempt;
use super::dispatcher::Dispatcher;
use super::end::{End, loss_of};
use super::in_flight::{InFlight, Waiting};
use crate::error::Result;
use crate::run::{Origin, Progress, Run, WorkItem};
use crate::runner::stop::Shutdown;
use crate::runner::{Outcome, Runner};

/// Executes a run to its end.
pub(crate) fn supervise(runner: &Runner, run: Run) -> Result<Outcome> {
    let supervisor =
        Supervisor { dispatcher: Dispatcher::new(runner, run), stores_seen: Cell::new(u64::MAX) };
    supervisor.tell_claim();
    let end = supervisor.watch();
    supervisor.end_threads(&end);
    let outcome = supervisor.conclude(end);
    supervisor.drop_leftovers();
    supervisor.tell_outcome(&outcome);
    outcome
}

struct Supervisor {
    dispatcher: Arc<Dispatcher>,
    /// The number of stores of ends at the last check.
    stores_seen: Cell<u64>,
}

/// The maximum delay of ends that threads leave to each other.
const LATE_ENDS: Duration = Duration::from_millis(1);

/// Continue, or end.
type StepResult = Result<(), End>;

impl Supervisor {
    fn watch(&self) -> End {
        let (signal, clock) = (&self.dispatcher.shared.signal, self.dispatcher.clock());
        loop {
            let seen = signal.seen();
            if let Err(end) = self.look() {
                return end;
            }
            signal.wait(seen, clock, self.time_to_next_look());
        }
    }

    fn look(&self) -> StepResult {
        self.check_noted()?;
        if self.run().is_lapsed() {
            return Err(End::Lapsed);
        }
        self.check_attempts()?;
        self.cut_retries()?;
        self.store_late_ends()?;
        self.put_to_work();
        self.check_noted()?;
        self.check_end()?;
        self.show_life()
    }

    /// Ends the run for a reason that a thread found.
    fn check_noted(&self) -> StepResult {
        self.dispatcher.lock().end.take().map_or(Ok(()), Err)
    }

    /// Tells workers to stop, and abandons those that do not.
    fn check_attempts(&self) -> StepResult {
        let (now, options) = (self.dispatcher.now(), &self.dispatcher.options);
        let tells_all = self.run().is_over() || self.stop() == Some(Shutdown::Now);
        let mut left_behind = Vec::new();
        let mut in_flight = self.dispatcher.lock();
        for thread in &mut in_flight.threads {
            let Some(attempt) = thread.attempt.as_ref().filter(|attempt| attempt.is_running()) else {
                continue;
            };
            if let Some(timeout) = options.item_timeout
                && now >= attempt.began.saturating_add(timeout)
                && attempt.time_out(timeout)
            {
                self.tell_timeout(attempt, timeout);
            }
            if tells_all || attempt.is_over() || attempt.must_stop() {
                thread.told_to_stop.get_or_insert(now);
                attempt.stop();
            }
            let is_given_up =
                thread.told_to_stop.is_some_and(|since| now >= since.saturating_add(options.stop_grace));
            if is_given_up && attempt.abandon() {
                left_behind.extend(thread.attempt.take());
                thread.handle = None;
            }
        }
        in_flight.abandoned += left_behind.len();
        drop(in_flight);
        left_behind.iter().try_for_each(|attempt| self.end_left_behind(attempt))
    }

    /// Ends the item of a worker that does not stop. Its thread counts as busy until then.
    fn end_left_behind(&self, attempt: &Attempt) -> StepResult {
        let (process, instance, work) = (self.process(), self.run().instance(), attempt.name());
        tracing::error!(process, instance, work, "a worker does not stop; its thread is abandoned");
        let why = "the worker did not stop when told to; its thread was abandoned";
        let end = attempt.take_item().map(|item| item.into_abort(why));
        let stored = end.map_or(Ok(()), |end| self.run().advance(vec![end], 0).map(drop));
        let mut in_flight = self.dispatcher.lock();
        in_flight.busy -= 1;
        in_flight.is_cut_short |= self.stop() == Some(Shutdown::Now);
        stored?;
        Ok(())
    }

    /// Cancels waiting retries once the runner is stopping, or the run takes no more items.
    fn cut_retries(&self) -> StepResult {
        let run = self.run();
        if self.stop().is_none() && !run.is_over() && !run.begins_no_more() {
            return Ok(());
        }
        let waiting = {
            let mut in_flight = self.dispatcher.lock();
            let waiting = std::mem::take(&mut in_flight.waiting);
            in_flight.is_cut_short |= !waiting.is_empty();
            waiting
        };
        let ends = waiting.into_values().map(Waiting::into_end).collect();
        Ok(run.advance(ends, 0).map(drop)?)
    }

    /// Stores the ends that threads left to each other, if all threads have been on longer work
    /// since the last check.
    fn store_late_ends(&self) -> StepResult {
        let ends = {
            let mut in_flight = self.dispatcher.lock();
            let is_late = self.stores_seen.replace(in_flight.stores) == in_flight.stores;
            in_flight.is_watched &= !is_late;
            in_flight.is_streaming &= !is_late;
            if !is_late || in_flight.ends.is_empty() {
                return Ok(());
            }
            in_flight.take_ends()
        };
        Ok(self.run().advance(ends, 0).map(drop)?)
    }

    /// Lets one more thread work, unless one is faster without.
    fn put_to_work(&self) {
        let mut in_flight = self.dispatcher.lock();
        if !in_flight.is_streaming {
            self.dispatcher.put_to_work(&mut in_flight);
        }
    }

    fn check_end(&self) -> StepResult {
        let mut in_flight = self.dispatcher.lock();
        self.dispatcher.update_flow(&mut in_flight);
        let Some(end) = self.natural_end(&in_flight) else { return Ok(()) };
        in_flight.close();
        Err(end)
    }

    /// Returns how a run without active threads ends.
    fn natural_end(&self, in_flight: &InFlight) -> Option<End> {
        if in_flight.busy > 0 || in_flight.has_more() {
            return None;
        }
        let (stop, is_over) = (self.stop(), self.run().is_over());
        let hands_back = matches!(stop, Some(Shutdown::HandBack | Shutdown::Now));
        if in_flight.is_all_taken || is_over {
            let goes_on = in_flight.is_cut_short && hands_back && !is_over;
            return Some(if goes_on { End::HandBack } else { End::Done });
        }
        if hands_back || (stop == Some(Shutdown::Finish) && in_flight.flow().is_paused) {
            return Some(End::HandBack);
        }
        (in_flight.abandoned >= in_flight.flow().concurrency).then_some(End::Stuck)
    }

    /// Sends heartbeats, which are the workers' own duty, while there is no work, and if
    /// configured.
    fn show_life(&self) -> StepResult {
        if !self.is_beating(&self.dispatcher.lock()) {
            return Ok(());
        }
        let run = self.run();
        let is_urgent = run.lapses_in() < self.dispatcher.options.claim.timeout() / 2;
        let progress = if is_urgent { run.progress_now()? } else { run.progress()? };
        match run.loss().filter(|_| progress == Progress::Conflict) {
            Some(loss) => Err(End::Lost(loss)),
            None => Ok(()),
        }
    }

    fn is_beating(&self, in_flight: &InFlight) -> bool {
        let is_wedged = || in_flight.threads.iter().any(|thread| thread.told_to_stop.is_some());
        in_flight.busy == 0 || (self.dispatcher.options.beats_by_itself && !is_wedged())
    }

    /// Returns how long until something can happen without a signal.
    fn time_to_next_look(&self) -> Duration {
        let (now, options) = (self.dispatcher.now(), &self.dispatcher.options);
        let mut time = self.run().lapses_in();
        let mut in_flight = self.dispatcher.lock();
        self.dispatcher.update_flow(&mut in_flight);
        if self.is_beating(&in_flight) {
            time = time.min(options.beat_interval);
        }
        if in_flight.is_watched {
            time = time.min(LATE_ENDS);
        }
        // For items that begin from now on.
        time = time.min(options.item_timeout.unwrap_or(Duration::MAX));
        let deadline = self.dispatcher.shared.stop_deadline().filter(|deadline| *deadline > now);
        time = time.min(deadline.map_or(Duration::MAX, |deadline| deadline - now));
        for thread in &in_flight.threads {
            let Some(attempt) = &thread.attempt else { continue };
            let next = match (thread.told_to_stop, options.item_timeout) {
                (Some(since), _) => since.saturating_add(options.stop_grace),
                (None, Some(timeout)) => attempt.began.saturating_add(timeout),
                (None, None) => continue,
            };
            time = time.min(next.saturating_sub(now));
        }
        if !in_flight.is_streaming {
            time = time.min(self.dispatcher.time_to_next_begin(&mut in_flight, now));
        }
        time
    }

    /// Ends the worker threads, and waits for those that can end.
    fn end_threads(&self, end: &End) {
        self.dispatcher.close();
        if let End::Lost(_) | End::Lapsed | End::Failed(_) = end {
            self.leave_run();
        }
        let handles: Vec<_> = {
            let mut in_flight = self.dispatcher.lock();
            in_flight.threads.iter_mut().filter_map(|thread| thread.handle.take()).collect()
        };
        for handle in handles {
            // A panic outside the worker was reported by the thread itself.
            let _ = handle.join();
        }
    }

    /// Takes all items back from the workers without a write, and gives them time to return.
    fn leave_run(&self) {
        let dispatcher = &self.dispatcher;
        let (signal, began) = (&dispatcher.shared.signal, dispatcher.now());
        let attempts: Vec<Arc<Attempt>> = dispatcher.lock().attempts().cloned().collect();
        let items: Vec<WorkItem> = attempts.iter().filter_map(|attempt| attempt.lose()).collect();
        self.run().leave();
        drop(items);
        drop(dispatcher.take_leftovers());
        let until = began.saturating_add(dispatcher.options.stop_grace);
        loop {
            let seen = signal.seen();
            let remaining = until.saturating_sub(dispatcher.now());
            if remaining.is_zero() || !attempts.iter().any(|attempt| attempt.is_running()) {
                break;
            }
            signal.wait(seen, dispatcher.clock(), remaining);
        }
        for thread in &mut dispatcher.lock().threads {
            if let Some(attempt) = thread.attempt.as_ref().filter(|attempt| attempt.abandon()) {
                let (process, work) = (self.process(), attempt.name());
                tracing::error!(process, work, "a worker does not stop; its thread is abandoned");
                thread.handle = None;
            }
        }
    }

    /// Writes the end of a run that this instance still owns.
    fn conclude(&self, end: End) -> Result<Outcome> {
        let run = self.run();
        let ended = match end {
            End::Done => run.finish_shared().map(Outcome::Finished),
            End::Stuck => run.abort_shared("every worker ignored the request to stop").map(Outcome::Finished),
            End::HandBack => run.hand_back_shared().map(|()| Outcome::HandedBack),
            End::Lost(loss) => return Ok(Outcome::Lost(loss)),
            End::Lapsed => return Ok(Outcome::Lapsed),
            End::Failed(error) => return Err(error),
        };
        ended.or_else(|error| match loss_of(&error) {
            Some(loss) => Ok(Outcome::Lost(loss)),
            None => Err(error),
        })
    }

    /// Leaves unfinished items unchanged.
    fn drop_leftovers(&self) {
        let leftovers = self.dispatcher.take_leftovers();
        if !leftovers.is_empty() {
            // Otherwise they would be stored as completed.
            self.run().leave();
        }
    }

    fn tell_claim(&self) {
        let (process, instance) = (self.process(), self.run().instance());
        match self.run().origin() {
            Origin::New => tracing::info!(process, instance, "claimed: a new run"),
            Origin::Resumed { from, .. } => tracing::info!(process, instance, from, "claimed: resumes a run"),
        }
    }

    fn tell_timeout(&self, attempt: &Attempt, timeout: Duration) {
        let (process, instance, work) = (self.process(), self.run().instance(), attempt.name());
        tracing::info!(process, instance, work, attempt = attempt.number(), ?timeout, "item timed out");
    }

    fn tell_outcome(&self, outcome: &Result<Outcome>) {
        let (process, instance) = (self.process(), self.run().instance());
        match outcome {
            Ok(Outcome::Finished(status)) if status.state() == crate::proto::State::Aborted => {
                let why = status.errors.last().map_or("", |error| error.text.as_str());
                tracing::info!(process, instance, why, "run aborted");
            }
            Ok(Outcome::HandedBack) => tracing::info!(process, instance, "run handed back"),
            _ => {}
        }
    }

    fn run(&self) -> &Run {
        &self.dispatcher.run
    }

    fn process(&self) -> &str {
        self.dispatcher.process()
    }

    fn stop(&self) -> Option<Shutdown> {
        self.dispatcher.shared.stop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::proto::Params;
    use crate::run::{Claim, ClaimOptions, Instance};
    use crate::runner::dispatch::in_flight::WorkerThread;
    use crate::store::Store;

    /// Creates a run that another instance has taken over without its knowledge.
    fn taken_over(then: impl FnOnce(&Supervisor, &Instance)) {
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
        let dispatcher = Dispatcher::new(&runner, run);
        then(&Supervisor { dispatcher, stores_seen: Cell::new(u64::MAX) }, &other);
    }

    fn noted(supervisor: &Supervisor) -> End {
        loop {
            if let Err(end) = supervisor.check_noted() {
                return end;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_loss_names_the_new_owner_wherever_it_is_found() {
        taken_over(|supervisor, other| {
            assert!(matches!(supervisor.show_life(), Err(End::Lost(loss)) if loss.by == other.id()));
        });
        taken_over(|supervisor, other| {
            let dispatcher = &supervisor.dispatcher;
            dispatcher.put_to_work(&mut dispatcher.lock());
            let end = noted(supervisor);
            assert!(matches!(end, End::Lost(loss) if loss.by == other.id()));
            supervisor.end_threads(&End::Lapsed);
        });
        for end in [End::Done, End::HandBack, End::Stuck] {
            taken_over(|supervisor, other| {
                let outcome = supervisor.conclude(end).unwrap();
                assert!(matches!(outcome, Outcome::Lost(loss) if loss.by == other.id()));
            });
        }
    }

    #[test]
    fn pending_ends_are_stored_at_the_second_check() {
        let store = Store::in_memory();
        let process = store.process("p").unwrap();
        process.register("w", Params::new()).unwrap();
        let runner = Runner::builder(&store, "p").worker_fn(|_| Ok(())).build().unwrap();
        let Claim::Won(run) = process.claim(&runner.instance).unwrap() else { panic!("not won") };
        let dispatcher = Dispatcher::new(&runner, run);
        let supervisor = Supervisor { dispatcher, stores_seen: Cell::new(u64::MAX) };
        let item = supervisor.run().advance(Vec::new(), 1).unwrap().items.remove(0);
        {
            let mut in_flight = supervisor.dispatcher.lock();
            // The only thread is on another item.
            in_flight.busy = 1;
            in_flight.ends.push(item.into_end());
            in_flight.is_watched = true;
        }
        let state = || process.work("w").unwrap().state;
        supervisor.look().unwrap();
        assert_eq!(state(), "active");
        assert_eq!(supervisor.time_to_next_look(), LATE_ENDS);
        supervisor.look().unwrap();
        assert_eq!(state(), "completed");
        assert!(supervisor.time_to_next_look() > LATE_ENDS);
    }

    #[test]
    fn who_does_not_come_back_for_the_next_item_is_relieved_at_the_second_look() {
        let store = Store::in_memory();
        let process = store.process("p").unwrap();
        process.register_all(["a", "b"].map(|name| (name, Params::new()))).unwrap();
        let runner = Runner::builder(&store, "p").concurrency(2).worker_fn(|_| Ok(())).build().unwrap();
        let Claim::Won(run) = process.claim(&runner.instance).unwrap() else { panic!("not won") };
        let dispatcher = Dispatcher::new(&runner, run);
        let supervisor = Supervisor { dispatcher, stores_seen: Cell::new(u64::MAX) };
        let mut items = supervisor.run().advance(Vec::new(), 2).unwrap().items;
        let dispatcher = &supervisor.dispatcher;
        {
            let mut in_flight = dispatcher.lock();
            in_flight.busy = 1;
            in_flight.threads.push(WorkerThread::default());
            in_flight.ready.extend(items.pop());
        }
        let _attempt = dispatcher.begin(0, items.remove(0), true).unwrap();
        let threads = || dispatcher.lock().threads.len();
        supervisor.look().unwrap();
        assert_eq!(threads(), 1);
        assert_eq!(supervisor.time_to_next_look(), LATE_ENDS);
        supervisor.look().unwrap();
        assert_eq!(threads(), 2);
        supervisor.end_threads(&End::Lapsed);
    }
}
