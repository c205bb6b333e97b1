//! Stopping a runner, with and without a deadline, and cancelling an item.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "common/eventually.rs"]
mod eventually;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use eventually::eventually;
use procstate::proto::State;
use procstate::{
    ManualClock, Outcome, Params, ProcessHandle, Retry, Runner, RunnerBuilder, RunnerHandle, Shutdown,
    Status, Store, WorkContext, WorkResult,
};

const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);

/// A store on a standing clock with a process of three items, and a runner whose worker reports
/// each item and waits for orders.
struct Scene {
    clock: ManualClock,
    store: Store,
    process: ProcessHandle,
    begun: Receiver<String>,
}

impl Scene {
    fn new(
        with: impl FnOnce(RunnerBuilder) -> RunnerBuilder,
        work: impl Fn(&mut WorkContext) -> WorkResult + Send + Sync + 'static,
    ) -> (Self, RunnerHandle) {
        let clock = ManualClock::new("2026-11-23T12:00:00Z".parse().unwrap());
        let store = Store::builder().clock(clock.clone()).in_memory();
        let process = store.process("p").unwrap();
        process.register_all(["a", "b", "c"].map(|name| (name, Params::new()))).unwrap();
        let (begins, begun) = channel();
        let begins: Mutex<Sender<String>> = Mutex::new(begins);
        let builder = Runner::builder(&store, "p").every(HOUR).heartbeat_timeout(HOUR);
        let runner = with(builder)
            .worker_fn(move |context| {
                begins.lock().unwrap().send(context.name().to_owned())?;
                work(context)
            })
            .spawn()
            .unwrap();
        (Self { clock, store, process, begun }, runner)
    }

    fn begun(&self) -> String {
        self.begun.recv_timeout(10 * SECOND).expect("no item was begun")
    }

    fn state(&self, name: &str) -> String {
        self.process.work(name).unwrap().state
    }

    fn item(&self, name: &str) -> Status {
        self.process.work(name).unwrap().details.unwrap().status.unwrap()
    }

    /// Lets the next instance complete the run.
    fn complete_run(&self) -> (Status, Vec<String>) {
        let names = Arc::new(Mutex::new(Vec::new()));
        let seen = names.clone();
        let outcome = Runner::builder(&self.store, "p").worker_fn(move |work| {
            seen.lock().unwrap().push(work.name().to_owned());
            Ok(())
        });
        let Outcome::Finished(status) = outcome.run_once().unwrap() else { panic!("not finished") };
        let names = names.lock().unwrap().clone();
        (status, names)
    }
}

fn wait_for_stop(work: &mut WorkContext) -> WorkResult {
    while !work.should_stop() {
        thread::sleep(Duration::from_millis(1));
    }
    Err("stopped".into())
}

/// Lets a runner on a standing clock poll.
fn a_moment() {
    thread::sleep(Duration::from_millis(15));
}

#[test]
fn stopping_now_interrupts_the_worker_and_hands_back() {
    let (scene, runner) = Scene::new(|builder| builder.retry(Retry::attempts(5)), wait_for_stop);
    assert_eq!(scene.begun(), "a");
    runner.shutdown(Shutdown::Now);
    runner.join().unwrap();
    assert_eq!(["a", "b", "c"].map(|name| scene.state(name)), ["incomplete", "queued", "queued"]);
    assert!(scene.process.history().unwrap().is_empty(), "the run has not ended");
    let (status, names) = scene.complete_run();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!((status.state(), status.stats["workItems"]), (State::Completed, 3.0));
}

#[test]
fn now_keeps_what_a_worker_completes() {
    let (scene, runner) = Scene::new(
        |builder| builder,
        |work| {
            let _ = wait_for_stop(work);
            Ok(())
        },
    );
    scene.begun();
    runner.shutdown(Shutdown::Now);
    runner.join().unwrap();
    assert_eq!(["a", "b"].map(|name| scene.state(name)), ["completed", "queued"]);
    assert_eq!(scene.complete_run().1, ["b", "c"]);
}

#[test]
fn every_shutdown_may_have_a_deadline() {
    for how in [Shutdown::Finish, Shutdown::HandBack] {
        let (scene, runner) = Scene::new(|builder| builder, wait_for_stop);
        scene.begun();
        runner.shutdown_within(how, 20 * SECOND);
        scene.clock.advance(19 * SECOND);
        a_moment();
        assert_eq!(scene.state("a"), "active", "{how:?}: stopped too soon");
        scene.clock.advance(SECOND);
        runner.join().unwrap();
        assert_eq!(["a", "b"].map(|name| scene.state(name)), ["incomplete", "queued"], "{how:?}");
        assert_eq!(scene.complete_run().1, ["a", "b", "c"], "{how:?}");
    }
}

#[test]
fn a_worker_that_ignores_the_deadline_is_left_behind_after_the_grace() {
    let (let_go, held) = channel::<()>();
    let held = Mutex::new(held);
    let (scene, runner) = Scene::new(
        |builder| builder.stop_grace(10 * SECOND),
        move |_| {
            let _ = held.lock().unwrap().recv();
            Ok(())
        },
    );
    scene.begun();
    runner.shutdown_within(Shutdown::Finish, 20 * SECOND);
    scene.clock.advance(20 * SECOND);
    a_moment();
    scene.clock.advance(9 * SECOND);
    a_moment();
    assert!(!runner.is_finished(), "left behind too soon");
    scene.clock.advance(SECOND);
    eventually("the runner stops", || runner.is_finished());
    assert_eq!(runner.stuck_workers(), 1);
    assert_eq!(scene.state("a"), "aborted");
    runner.join().unwrap();
    drop(let_go);
    assert_eq!(scene.complete_run().1, ["a", "b", "c"]);
}

#[test]
fn a_later_deadline_does_not_replace_an_earlier_one() {
    let (scene, runner) = Scene::new(|builder| builder, wait_for_stop);
    scene.begun();
    runner.shutdown_within(Shutdown::Finish, 5 * SECOND);
    runner.shutdown_within(Shutdown::HandBack, HOUR);
    scene.clock.advance(5 * SECOND);
    runner.join().unwrap();
    assert_eq!(scene.state("a"), "incomplete");
}

#[test]
fn finishing_in_time_completes_the_run() {
    let (scene, runner) = Scene::new(|builder| builder, |_| Ok(()));
    scene.begun();
    runner.shutdown_within(Shutdown::Finish, HOUR);
    runner.join().unwrap();
    assert_eq!(scene.process.history().unwrap()[0].stats["workItems"], 3.0);
}

#[test]
fn an_item_in_hand_is_cancelled_alone() {
    let (scene, runner) = Scene::new(
        |builder| builder.retry(Retry::attempts(5)),
        |work| if work.name() == "b" { wait_for_stop(work) } else { Ok(()) },
    );
    eventually("b is begun", || scene.begun() == "b");
    assert!(!runner.cancel("c"), "no worker is on it");
    assert!(!runner.cancel("unknown"));
    assert!(runner.cancel("b"));
    eventually("the run ends", || scene.process.history().unwrap().len() == 1);
    assert_eq!(["a", "b", "c"].map(|name| scene.state(name)), ["completed", "incomplete", "completed"]);
    let cancelled = scene.item("b");
    assert_eq!((cancelled.total_errors, cancelled.errors[0].text.as_str()), (1, "cancelled"));
}

#[test]
fn the_result_of_a_cancelled_worker_is_ignored() {
    let (scene, runner) = Scene::new(
        |builder| builder.retry(Retry::attempts(5)),
        |work| {
            if work.name() == "a" {
                let _ = wait_for_stop(work);
            }
            Ok(())
        },
    );
    scene.begun();
    assert!(runner.cancel("a"));
    eventually("the run ends", || scene.process.history().unwrap().len() == 1);
    assert_eq!(scene.item("a").errors[0].text, "cancelled");
    assert_eq!(scene.state("a"), "incomplete");
}

#[test]
fn an_item_that_waits_for_another_attempt_is_cancelled() {
    let retry = Retry::attempts(2).initial(HOUR).max_backoff(HOUR);
    let (scene, runner) = Scene::new(
        |builder| builder.retry(retry),
        |work| if work.name() == "a" { Err("no".into()) } else { Ok(()) },
    );
    eventually("the others are done", || scene.state("c") == "completed");
    assert!(runner.cancel("a"));
    eventually("the run ends", || scene.process.history().unwrap().len() == 1);
    let texts: Vec<String> = scene.item("a").errors.into_iter().map(|error| error.text).collect();
    assert_eq!(texts, ["no", "cancelled"]);
}

#[test]
fn a_cancelled_worker_that_does_not_stop_is_left_behind() {
    let (let_go, held) = channel::<()>();
    let held = Mutex::new(held);
    let (scene, runner) = Scene::new(
        |builder| builder.concurrency(2).stop_grace(10 * SECOND),
        move |work| {
            if work.name() == "a" {
                let _ = held.lock().unwrap().recv();
            }
            Ok(())
        },
    );
    eventually("the others are done", || scene.state("c") == "completed");
    assert!(runner.cancel("a"));
    a_moment();
    scene.clock.advance(10 * SECOND);
    eventually("the run ends", || scene.process.history().unwrap().len() == 1);
    assert_eq!(scene.state("a"), "aborted");
    assert_eq!(runner.stuck_workers(), 1);
    drop(let_go);
    eventually("its thread is back", || runner.stuck_workers() == 0);
}
