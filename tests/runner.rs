//! Runners through the public API: which thread works on what, when, and how it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "common/eventually.rs"]
mod eventually;

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use eventually::eventually;
use procstate::proto::State;
use procstate::{
    Instance, List, ManualClock, Outcome, Params, ProcessHandle, Progress, Retry, Runner, RunnerBuilder,
    RunnerHandle, Shutdown, Status, Store, WorkContext, WorkResult, Worker,
};

const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);

fn clock() -> ManualClock {
    ManualClock::new("2026-11-23T12:00:00Z".parse().unwrap())
}

fn store(clock: &ManualClock) -> Store {
    common::store(Store::builder().clock(clock.clone()))
}

/// Creates a process with `items` active items, w00 and so on.
fn process(store: &Store, items: usize) -> ProcessHandle {
    let process = store.process("p").unwrap();
    process.register_all((0..items).map(|n| (format!("w{n:02}"), Params::new()))).unwrap();
    process
}

fn runner(store: &Store) -> RunnerBuilder {
    Runner::builder(store, "p").rest(Duration::ZERO)
}

fn finished(outcome: Outcome) -> Status {
    match outcome {
        Outcome::Finished(status) => status,
        other => panic!("not finished: {other:?}"),
    }
}

fn item(process: &ProcessHandle, name: &str) -> Status {
    process.work(name).unwrap().details.unwrap().status.unwrap()
}

fn state_of(process: &ProcessHandle, name: &str) -> String {
    process.work(name).unwrap().state
}

/// Lets runners on a standing clock poll.
fn a_moment() {
    thread::sleep(Duration::from_millis(15));
}

/// A worker controlled step by step by the test.
struct Puppet {
    begun: Sender<String>,
    orders: Mutex<Receiver<Order>>,
}

enum Order {
    Progress(Sender<Progress>),
    Stat(&'static str),
    Return(WorkResult),
}

struct Strings {
    begun: Receiver<String>,
    orders: Sender<Order>,
}

fn puppet() -> (Puppet, Strings) {
    let ((begun, has_begun), (give, orders)) = (channel(), channel());
    (Puppet { begun, orders: Mutex::new(orders) }, Strings { begun: has_begun, orders: give })
}

impl Worker for Puppet {
    fn process(&self, work: &mut WorkContext) -> WorkResult {
        self.begun.send(work.name().to_owned())?;
        loop {
            let order = self.orders.lock().unwrap().recv()?;
            match order {
                Order::Progress(answer) => answer.send(work.progress()?)?,
                Order::Stat(label) => work.add_stat(label, 1.0),
                Order::Return(result) => return result,
            }
        }
    }
}

impl Strings {
    fn begun(&self) -> String {
        self.begun.recv_timeout(Duration::from_secs(10)).expect("no item was begun")
    }

    fn progress(&self) -> Progress {
        let (answer, answered) = channel();
        self.orders.send(Order::Progress(answer)).unwrap();
        answered.recv_timeout(Duration::from_secs(10)).expect("no answer")
    }

    fn finish(&self) {
        self.orders.send(Order::Return(Ok(()))).unwrap();
    }
}

/// Waits until the worker is told to stop.
fn wait_for_stop(work: &WorkContext) {
    while !work.should_stop() {
        thread::sleep(Duration::from_millis(1));
    }
}

// Who works.

#[test]
fn two_runners_do_each_item_once_and_never_at_the_same_time() {
    const ITEMS: usize = 20;
    const RUNS: usize = 30;
    // On a standing clock idle runners poll often.
    let store = store(&clock());
    let process = process(&store, ITEMS);
    let done = Arc::new(Mutex::new(BTreeMap::<String, usize>::new()));
    let present: Arc<[AtomicUsize; 2]> = Arc::default();
    let runners = [0, 1].map(|me| {
        let (done, present) = (done.clone(), present.clone());
        let work = move |work: &mut WorkContext| {
            present[me].fetch_add(1, SeqCst);
            assert_eq!(present[1 - me].load(SeqCst), 0, "two owners");
            *done.lock().unwrap().entry(work.name().to_owned()).or_default() += 1;
            present[me].fetch_sub(1, SeqCst);
            Ok(())
        };
        runner(&store).every(HOUR).concurrency(2).label(me.to_string()).worker_fn(work).spawn().unwrap()
    });
    for run in 1..=RUNS {
        eventually("the run ends", || process.history().unwrap().len() >= run);
        // Changed settings make the next run due.
        process.set_params(Params::new().int("round", i64::try_from(run).unwrap())).unwrap();
    }
    eventually("the last run ends", || process.history().unwrap().len() > RUNS);
    drop(runners);

    let history = process.history().unwrap();
    assert!(history.iter().all(|run| run.state == State::Completed), "{history:?}");
    assert!(history.iter().all(|run| run.stats["workItems"] == 20.0));
    let done = done.lock().unwrap();
    assert_eq!(done.len(), ITEMS);
    assert!(done.values().all(|times| *times == history.len()), "{done:?}");
}

#[test]
fn a_second_runner_learns_who_holds_the_process() {
    let store = common::store(Store::builder());
    process(&store, 1);
    let (worker, strings) = puppet();
    let first = runner(&store).label("first").worker(worker).spawn().unwrap();
    strings.begun();
    let outcome = runner(&store).worker_fn(|_| Ok(())).build().unwrap().run_now().unwrap();
    assert!(matches!(&outcome, Outcome::Held { by, .. } if by == first.instance()), "{outcome:?}");
    assert!(first.instance().starts_with("first/"));
    first.shutdown(Shutdown::HandBack);
    strings.finish();
    first.join().unwrap();
}

#[test]
fn a_slow_live_worker_keeps_its_process_across_slots() {
    let clock = clock();
    let store = store(&clock);
    process(&store, 1);
    let (worker, strings) = puppet();
    let slow = runner(&store).every(HOUR).worker(worker).build().unwrap();
    let slow = thread::spawn(move || slow.run_once().unwrap());
    strings.begun();
    let other = runner(&store).worker_fn(|_| panic!("not its turn")).build().unwrap();
    for _ in 0..200 {
        clock.advance(Duration::from_secs(29));
        assert_eq!(strings.progress(), Progress::Updated);
        assert!(matches!(other.run_once().unwrap(), Outcome::Held { .. }));
    }
    strings.finish();
    assert_eq!(finished(slow.join().unwrap()).state(), State::Completed);
}

#[test]
fn a_wedged_worker_is_taken_over_and_fenced() {
    let clock = clock();
    let store = store(&clock);
    let process = process(&store, 2);
    let (worker, strings) = puppet();
    let wedged = runner(&store).every(HOUR).worker(worker).build().unwrap();
    let wedged = thread::spawn(move || wedged.run_once().unwrap());
    strings.begun();
    let other = runner(&store).worker_fn(|work| {
        work.add_stat("done", 1.0);
        Ok(())
    });
    let other = other.build().unwrap();
    clock.advance(Duration::from_secs(29));
    assert!(matches!(other.run_once().unwrap(), Outcome::Held { .. }));
    clock.advance(SECOND);
    let status = finished(other.run_once().unwrap());
    assert_eq!((status.state(), status.stats["work.done"]), (State::Completed, 2.0));

    let before = process.snapshot().unwrap();
    eventually("the wedged worker hears of it", || {
        strings.orders.send(Order::Stat("late")).unwrap();
        strings.progress() == Progress::Conflict
    });
    strings.finish();
    let outcome = wedged.join().unwrap();
    assert!(matches!(outcome, Outcome::Lapsed | Outcome::Lost(_)), "{outcome:?}");
    assert_eq!(process.snapshot().unwrap(), before);
}

#[test]
fn a_lapsed_run_is_resumed_by_its_own_runner() {
    let clock = clock();
    let store = store(&clock);
    let process = process(&store, 1);
    let is_first = AtomicBool::new(true);
    let (hears, heard) = channel();
    let runner = runner(&store).every(HOUR).worker_fn(move |work| {
        if is_first.swap(false, SeqCst) {
            wait_for_stop(work);
            hears.send(work.progress()?)?;
        } else {
            work.add_stat("second", 1.0);
        }
        Ok(())
    });
    let runner = runner.spawn().unwrap();
    eventually("the item is begun", || state_of(&process, "w00") == "active");
    clock.advance(Duration::from_secs(30));
    assert_eq!(heard.recv_timeout(10 * SECOND), Ok(Progress::Conflict));
    eventually("the item is done", || state_of(&process, "w00") == "completed");
    eventually("the run is done", || process.history().unwrap().len() == 1);
    let run = process.history().unwrap().remove(0);
    assert_eq!((run.state, run.stats.get("work.second")), (State::Completed, Some(&1.0)));
    runner.shutdown(Shutdown::Finish);
    runner.join().unwrap();
}

/// A takeover keeps the count of failed attempts; the interrupted attempt is repeated.
#[test]
fn failed_attempts_are_counted_across_takeovers() {
    let clock = clock();
    let store = store(&clock);
    let process = process(&store, 1);
    let (tells, told) = channel();
    let is_first = AtomicBool::new(true);
    let retry = Retry::attempts(3).initial(Duration::ZERO);
    let runner =
        runner(&store).progress_interval(Duration::ZERO).every(HOUR).retry(retry).worker_fn(move |work| {
            tells.send(work.attempt())?;
            if work.attempt() == 2 && is_first.swap(false, SeqCst) {
                let _ = work.progress()?;
                wait_for_stop(work);
            }
            Err("fails".into())
        });
    let runner = runner.spawn().unwrap();
    let attempt = || told.recv_timeout(10 * SECOND).unwrap();
    assert_eq!([attempt(), attempt()], [1, 2]);
    eventually("the first failure is stored", || item(&process, "w00").total_errors == 1);
    clock.advance(Duration::from_secs(30));
    assert_eq!([attempt(), attempt()], [2, 3]);
    eventually("the run is done", || process.history().unwrap().len() == 1);
    assert_eq!(item(&process, "w00").total_errors, 3);
    runner.shutdown(Shutdown::Finish);
    runner.join().unwrap();
}

#[test]
fn automatic_heartbeats_keep_a_silent_worker_alive() {
    let clock = clock();
    let store = store(&clock);
    process(&store, 1);
    let (worker, strings) = puppet();
    let silent = runner(&store).beat_by_itself(true).item_timeout(HOUR).worker(worker).build().unwrap();
    let silent = thread::spawn(move || silent.run_once().unwrap());
    strings.begun();
    let other = runner(&store).worker_fn(|_| Ok(())).build().unwrap();
    for _ in 0..20 {
        let Outcome::Held { until: before, .. } = other.run_once().unwrap() else { panic!("not held") };
        clock.advance(Duration::from_secs(20));
        eventually(
            "it is alive",
            || matches!(other.run_once().unwrap(), Outcome::Held { until, .. } if until > before),
        );
    }
    strings.finish();
    assert_eq!(finished(silent.join().unwrap()).state(), State::Completed);
}

#[test]
fn automatic_heartbeats_end_with_the_item_timeout() {
    let clock = clock();
    let store = store(&clock);
    process(&store, 1);
    let (worker, strings) = puppet();
    let wedged = runner(&store).beat_by_itself(true).item_timeout(60 * SECOND).stop_grace(HOUR);
    let wedged = wedged.worker(worker).build().unwrap();
    let wedged = thread::spawn(move || wedged.run_once().unwrap());
    strings.begun();
    for _ in 0..6 {
        clock.advance(10 * SECOND);
        a_moment();
    }
    // Beyond its timeout; 30 s later there was no heartbeat.
    clock.advance(30 * SECOND);
    let other = runner(&store).worker_fn(|_| Ok(())).build().unwrap();
    assert_eq!(finished(other.run_once().unwrap()).total_errors, 0);
    strings.finish();
    assert!(matches!(wedged.join().unwrap(), Outcome::Lapsed | Outcome::Lost(_)));
}

// How items end.

#[test]
fn a_panic_is_an_error_of_its_item_alone() {
    let store = common::store(Store::builder());
    let process = process(&store, 3);
    let status = runner(&store).retry(Retry::attempts(3)).worker_fn(|work| match work.name() {
        "w01" => panic!("boom"),
        _ => Ok(()),
    });
    let status = finished(status.run_once().unwrap());
    assert_eq!((status.state(), status.total_errors), (State::Incomplete, 1));
    assert_eq!(
        ["w00", "w01", "w02"].map(|name| state_of(&process, name)),
        ["completed", "aborted", "completed"]
    );
    assert_eq!(item(&process, "w01").errors[0].text, "the worker panicked: boom");
}

#[test]
fn the_third_attempt_succeeds() {
    let store = common::store(Store::builder());
    let process = process(&store, 1);
    let status = runner(&store)
        .retry(Retry::attempts(5).initial(Duration::from_millis(5)))
        .worker_fn(|work| match work.attempt() {
            1 => Err("first".into()),
            2 => {
                work.add_error("second");
                Ok(())
            }
            attempt => {
                work.add_stat("attempt", f64::from(attempt));
                Ok(())
            }
        })
        .run_once()
        .unwrap();
    assert_eq!(finished(status).state(), State::Completed);
    let item = item(&process, "w00");
    assert_eq!((item.state(), item.total_errors), (State::Completed, 2));
    assert_eq!(item.stats["attempt"], 3.0);
    assert_eq!(item.errors.iter().map(|e| e.text.as_str()).collect::<Vec<_>>(), ["first", "second"]);
}

#[test]
fn with_no_attempts_left_the_item_is_incomplete() {
    let store = common::store(Store::builder());
    let process = process(&store, 1);
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let retry = Retry::attempts(3).initial(Duration::from_millis(1));
    let outcome = runner(&store).retry(retry).worker_fn(move |_| {
        counted.fetch_add(1, SeqCst);
        Err("no".into())
    });
    assert_eq!(finished(outcome.run_once().unwrap()).state(), State::Incomplete);
    assert_eq!(calls.load(SeqCst), 3);
    let item = item(&process, "w00");
    assert_eq!((item.state(), item.total_errors), (State::Incomplete, 3));
}

#[test]
fn others_are_worked_on_while_an_item_waits_and_the_run_stays_alive() {
    let clock = clock();
    let store = store(&clock);
    let process = process(&store, 3);
    let retry = Retry::attempts(2).initial(100 * SECOND).max_backoff(HOUR);
    let waits = runner(&store).retry(retry).worker_fn(|work| match (work.name(), work.attempt()) {
        ("w00", 1) => Err("not yet".into()),
        _ => Ok(()),
    });
    let waits = waits.build().unwrap();
    let waits = thread::spawn(move || waits.run_once().unwrap());
    eventually("the others are done", || state_of(&process, "w02") == "completed");
    assert_eq!(state_of(&process, "w00"), "active");
    let other = runner(&store).worker_fn(|_| Ok(())).build().unwrap();
    for _ in 0..4 {
        let Outcome::Held { until: before, .. } = other.run_once().unwrap() else { panic!("not held") };
        clock.advance(20 * SECOND);
        eventually(
            "it is alive",
            || matches!(other.run_once().unwrap(), Outcome::Held { until, .. } if until > before),
        );
    }
    assert_eq!(state_of(&process, "w00"), "active");
    clock.advance(20 * SECOND);
    assert_eq!(finished(waits.join().unwrap()).state(), State::Completed);
}

#[test]
fn a_worker_that_respects_its_timeout() {
    let store = common::store(Store::builder());
    let process = process(&store, 2);
    let status = runner(&store).item_timeout(Duration::from_millis(20)).worker_fn(|work| {
        if work.name() == "w00" {
            wait_for_stop(work);
            assert_eq!(work.progress()?, Progress::Aborted);
        }
        Ok(())
    });
    assert_eq!(finished(status.run_once().unwrap()).state(), State::Incomplete);
    let late = item(&process, "w00");
    assert_eq!((late.state(), late.total_errors), (State::Incomplete, 1));
    assert_eq!(late.errors[0].text, "timed out after 20ms");
    assert_eq!(state_of(&process, "w01"), "completed");
}

#[test]
fn an_attempt_that_timed_out_is_not_the_last() {
    let store = common::store(Store::builder());
    let process = process(&store, 1);
    let retry = Retry::attempts(2).initial(Duration::from_millis(1));
    let slow_once = runner(&store).retry(retry).item_timeout(Duration::from_millis(20)).worker_fn(|work| {
        if work.attempt() == 1 {
            wait_for_stop(work);
        }
        Ok(())
    });
    assert_eq!(finished(slow_once.run_once().unwrap()).state(), State::Completed);
    assert_eq!(item(&process, "w00").total_errors, 1);
}

#[test]
fn a_worker_that_ignores_its_timeout_is_left_behind() {
    let store = common::store(Store::builder());
    let process = process(&store, 3);
    let (worker, strings) = puppet();
    let deaf = runner(&store).concurrency(2).item_timeout(Duration::from_millis(20));
    let deaf = deaf.stop_grace(Duration::from_millis(10)).worker(OneDeaf(worker)).build().unwrap();
    assert_eq!(finished(deaf.run_once().unwrap()).state(), State::Incomplete);
    let ended = item(&process, "w00");
    assert_eq!((ended.state(), ended.total_errors), (State::Aborted, 2));
    assert_eq!(["w01", "w02"].map(|name| state_of(&process, name)), ["completed", "completed"]);

    let before = process.snapshot().unwrap();
    strings.orders.send(Order::Stat("late")).unwrap();
    assert_eq!(strings.progress(), Progress::Aborted);
    strings.finish();
    assert_eq!(process.snapshot().unwrap(), before);
}

/// Waits for orders on w00 only.
struct OneDeaf(Puppet);

impl Worker for OneDeaf {
    fn process(&self, work: &mut WorkContext) -> WorkResult {
        if work.name() == "w00" { self.0.process(work) } else { Ok(()) }
    }
}

#[test]
fn with_every_thread_left_behind_the_run_is_aborted() {
    let store = common::store(Store::builder());
    let process = process(&store, 2);
    let (worker, strings) = puppet();
    let deaf = runner(&store).every(HOUR).item_timeout(Duration::from_millis(20));
    let deaf = deaf.stop_grace(Duration::ZERO).worker(OneDeaf(worker)).spawn().unwrap();
    eventually("the run ends", || process.history().unwrap().len() == 1);
    let run = process.history().unwrap().remove(0);
    assert_eq!(run.state, State::Aborted);
    assert_eq!(state_of(&process, "w01"), "queued");
    assert_eq!(deaf.stuck_workers(), 1);
    strings.finish();
    eventually("its thread is back", || deaf.stuck_workers() == 0);
}

#[test]
fn too_many_errors_stop_the_worker_and_no_other() {
    let store = common::store(Store::builder());
    let process = process(&store, 2);
    let outcome = runner(&store).worker_fn(|work| {
        let is_first = work.name() == "w00";
        (0..if is_first { 11 } else { 0 }).for_each(|n| work.add_error(format!("error {n}")));
        assert_eq!(work.should_stop(), is_first);
        Ok(())
    });
    assert_eq!(finished(outcome.run_once().unwrap()).state(), State::Incomplete);
    assert_eq!(["w00", "w01"].map(|name| state_of(&process, name)), ["aborted", "completed"]);
}

#[test]
fn a_worker_that_ignores_the_end_of_its_item_is_left_behind() {
    struct Deaf(Puppet);
    impl Worker for Deaf {
        fn process(&self, work: &mut WorkContext) -> WorkResult {
            (0..11).for_each(|n| work.add_error(format!("error {n}")));
            self.0.process(work)
        }
    }
    let store = common::store(Store::builder());
    let process = process(&store, 2);
    let (worker, strings) = puppet();
    let outcome = runner(&store).stop_grace(Duration::from_millis(10)).worker(Deaf(worker)).run_once();
    assert_eq!(finished(outcome.unwrap()).state(), State::Aborted);
    assert_eq!(state_of(&process, "w00"), "aborted");
    strings.finish();
}

#[test]
fn four_workers_process_every_item_once() {
    let store = common::store(Store::builder());
    let process = process(&store, 40);
    let (barrier, calls) = (Barrier::new(4), Arc::new(AtomicUsize::new(0)));
    let counted = calls.clone();
    let status = runner(&store).concurrency(4).worker_fn(move |work| {
        barrier.wait();
        counted.fetch_add(1, SeqCst);
        work.add_stat("n", 1.0);
        Ok(())
    });
    let status = finished(status.run_once().unwrap());
    assert_eq!((calls.load(SeqCst), status.stats["workItems"]), (40, 40.0));
    assert_eq!(status.state(), State::Completed);
    let page = process.list(List::Active, None, 100).unwrap();
    assert!(
        page.items.iter().all(|item| item.work.as_ref().unwrap().status.as_ref().unwrap().stats["n"] == 1.0)
    );
}

#[test]
fn cleanup_is_called_and_the_item_dropped() {
    struct Cleans;
    impl Worker for Cleans {
        fn process(&self, _: &mut WorkContext) -> WorkResult {
            Ok(())
        }
        fn clean_up(&self, work: &mut WorkContext) -> WorkResult {
            if work.name() == "w01" { Err("not empty".into()) } else { Ok(()) }
        }
    }
    let store = common::store(Store::builder());
    let process = process(&store, 3);
    process.unregister("w01").unwrap();
    process.unregister("w02").unwrap();
    let status = finished(runner(&store).worker(Cleans).run_once().unwrap());
    assert_eq!(["w00", "w01", "w02"].map(|n| state_of(&process, n)), ["completed", "cleanup", "dropped"]);
    assert_eq!(status.stats["workItemsCleaned"], 1.0);
    assert_eq!(status.state(), State::Incomplete);
}

#[test]
fn an_item_done_for_good_is_dropped() {
    let store = common::store(Store::builder());
    let process = process(&store, 2);
    let once = runner(&store).worker_fn(|work| {
        if work.name() == "w00" {
            work.drop_when_done();
        }
        Ok(())
    });
    finished(once.run_once().unwrap());
    assert_eq!(["w00", "w01"].map(|name| state_of(&process, name)), ["dropped", "completed"]);
}

// Stopping.

fn stopping_runner(store: &Store, strings: &mut Option<Strings>) -> RunnerHandle {
    let (worker, held) = puppet();
    *strings = Some(held);
    runner(store).every(HOUR).worker(worker).spawn().unwrap()
}

#[test]
fn finishing_completes_the_run() {
    let store = common::store(Store::builder());
    let process = process(&store, 3);
    let mut strings = None;
    let runner = stopping_runner(&store, &mut strings);
    let strings = strings.unwrap();
    strings.begun();
    runner.shutdown(Shutdown::Finish);
    (0..3).for_each(|_| strings.finish());
    runner.join().unwrap();
    assert_eq!(process.history().unwrap()[0].stats["workItems"], 3.0);
}

#[test]
fn a_run_handed_back_is_resumed_at_once() {
    let clock = clock();
    let store = store(&clock);
    let process = process(&store, 3);
    let mut strings = None;
    let first = stopping_runner(&store, &mut strings);
    let strings = strings.unwrap();
    assert_eq!(strings.begun(), "w00");
    first.shutdown(Shutdown::HandBack);
    strings.finish();
    first.join().unwrap();
    assert!(process.history().unwrap().is_empty());
    assert_eq!(["w00", "w01"].map(|name| state_of(&process, name)), ["completed", "queued"]);

    let names = Arc::new(Mutex::new(Vec::new()));
    let seen = names.clone();
    let second = runner(&store).worker_fn(move |work| {
        seen.lock().unwrap().push(work.name().to_owned());
        Ok(())
    });
    let status = finished(second.run_once().unwrap());
    assert_eq!(*names.lock().unwrap(), ["w01", "w02"]);
    assert_eq!((status.state(), status.stats["workItems"]), (State::Completed, 3.0));
}

#[test]
fn stopping_interrupts_the_wait_for_another_attempt() {
    for (how, state) in [(Shutdown::Finish, Some(State::Incomplete)), (Shutdown::HandBack, None)] {
        let store = common::store(Store::builder());
        let process = process(&store, 1);
        let retry = Retry::attempts(2).initial(HOUR).max_backoff(HOUR);
        let (worker, strings) = puppet();
        let failing = runner(&store)
            .every(HOUR)
            .progress_interval(10 * SECOND)
            .retry(retry)
            .worker(worker)
            .spawn()
            .unwrap();
        strings.begun();
        strings.orders.send(Order::Return(Err("no".into()))).unwrap();
        a_moment();
        let asked = Instant::now();
        failing.shutdown(how);
        failing.join().unwrap();
        assert!(asked.elapsed() < 5 * SECOND, "{how:?}");
        assert_eq!(state_of(&process, "w00"), "incomplete", "{how:?}");
        assert_eq!(process.history().unwrap().first().map(|run| run.state), state, "{how:?}");
    }
}

#[test]
fn dropping_the_handle_hands_back() {
    let store = common::store(Store::builder());
    let process = process(&store, 2);
    let mut strings = None;
    let runner = stopping_runner(&store, &mut strings);
    let strings = strings.unwrap();
    strings.begun();
    let stopper = runner.stopper();
    let dropped = thread::spawn(move || drop(runner));
    eventually("it is told", || stopper.is_stopping());
    strings.finish();
    dropped.join().unwrap();
    assert_eq!(["w00", "w01"].map(|name| state_of(&process, name)), ["completed", "queued"]);
    assert!(process.history().unwrap().is_empty());
}

#[test]
fn a_closed_store_stops_the_runner_with_the_reason() {
    let store = common::store(Store::builder());
    process(&store, 1);
    let runner = runner(&store).every(HOUR).worker_fn(|_| Ok(())).spawn().unwrap();
    store.close().unwrap();
    assert_eq!(runner.join().unwrap_err().to_string(), "the store was closed");
}

#[test]
fn a_stopped_runner_claims_nothing() {
    let store = common::store(Store::builder());
    let process = process(&store, 1);
    let runner = runner(&store).worker_fn(|_| Ok(())).build().unwrap();
    runner.stopper().stop(Shutdown::Finish);
    assert_eq!(runner.run_once().unwrap(), Outcome::Stopped);
    assert_eq!(state_of(&process, "w00"), "queued");
}

// Flow control.

fn set(process: &ProcessHandle, name: &str, value: i64) {
    let insert = |params: &mut Params| params.int_params.extend([(name.to_owned(), value)]);
    process.update_params(insert).unwrap();
}

#[test]
fn pause_and_resume_by_settings() {
    let clock = clock();
    let store = store(&clock);
    let process = process(&store, 3);
    let (worker, strings) = puppet();
    let runner = runner(&store).every(HOUR).worker(worker).spawn().unwrap();
    assert_eq!(strings.begun(), "w00");
    set(&process, "flow.paused", 1);
    clock.advance(SECOND);
    assert_eq!(strings.progress(), Progress::Merged);
    strings.finish();
    eventually("the item in progress ends", || state_of(&process, "w00") == "completed");
    for _ in 0..5 {
        clock.advance(20 * SECOND);
        a_moment();
    }
    assert_eq!(state_of(&process, "w01"), "queued");
    let other = Instance::new();
    assert!(matches!(process.claim(&other).unwrap(), procstate::Claim::Held { .. }), "no life while paused");

    set(&process, "flow.paused", 0);
    clock.advance(SECOND);
    assert_eq!(strings.begun(), "w01");
    set(&process, "flow.paused", 1);
    runner.shutdown(Shutdown::Finish);
    strings.finish();
    runner.join().unwrap();
    // Paused while it finished: it does not wait forever.
    assert_eq!(state_of(&process, "w02"), "queued");
}

#[test]
fn concurrency_by_settings() {
    let store = common::store(Store::builder());
    let process = process(&store, 4);
    set(&process, "flow.concurrency", 4);
    let barrier = Barrier::new(4);
    let outcome = runner(&store).worker_fn(move |_| {
        barrier.wait();
        Ok(())
    });
    finished(outcome.run_once().unwrap());
}

#[test]
fn rate_by_settings() {
    let clock = clock();
    let store = store(&clock);
    let process = process(&store, 4);
    set(&process, "flow.itemsPerMinute", 6);
    let begun = Arc::new(AtomicUsize::new(0));
    let counted = begun.clone();
    let slow = runner(&store).concurrency(4).items_per_minute(1000).worker_fn(move |_| {
        counted.fetch_add(1, SeqCst);
        Ok(())
    });
    let slow = slow.build().unwrap();
    let slow = thread::spawn(move || slow.run_once().unwrap());
    for items in 1..=4 {
        eventually("an item begins", || begun.load(SeqCst) == items);
        clock.advance(9 * SECOND);
        a_moment();
        assert_eq!(begun.load(SeqCst), items);
        clock.advance(SECOND);
    }
    assert_eq!(finished(slow.join().unwrap()).state(), State::Completed);
}

#[test]
fn items_registered_during_a_run_wait_for_the_next() {
    let clock = clock();
    let store = store(&clock);
    let process = process(&store, 1);
    let (worker, strings) = puppet();
    let runner = runner(&store).every(HOUR).worker(worker).spawn().unwrap();
    assert_eq!(strings.begun(), "w00");
    process.register("x", Params::new()).unwrap();
    strings.finish();
    // The next run starts at once, and processes all items.
    assert_eq!(strings.begun(), "w00");
    assert_eq!(process.history().unwrap()[0].stats["workItems"], 1.0);
    strings.finish();
    assert_eq!(strings.begun(), "x");
    strings.finish();
    eventually("the second run ends", || process.history().unwrap().len() == 2);
    drop(runner);
}

// What is refused.

#[test]
fn invalid_options_are_refused() {
    let store = common::store(Store::builder());
    process(&store, 1);
    let with = || runner(&store).worker_fn(|_| Ok(()));
    let refused = [
        runner(&store).build(),
        with().concurrency(0).build(),
        with().concurrency(1025).build(),
        with().item_timeout(Duration::ZERO).build(),
        with().beat_by_itself(true).build(),
        with().heartbeat_timeout(Duration::ZERO).build(),
        with().every(Duration::ZERO).build(),
    ];
    for (n, runner) in refused.into_iter().enumerate() {
        assert!(runner.is_err_and(|error| error.is_invalid()), "{n}");
    }
    let unknown = Runner::builder(&store, "unknown").worker_fn(|_| Ok(())).build();
    assert!(unknown.unwrap_err().is_not_found());
    assert_eq!(store.processes().unwrap(), ["p"]);
}

#[cfg(feature = "etcd")]
#[test]
fn all_of_it_in_etcd() {
    common::in_etcd_too("all_of_it_in_etcd");
}
