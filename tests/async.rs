//! Async runners through the public API.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use futures_core::Stream;
use procstate::proto::State;
use procstate::tokio::{AsyncProcess, AsyncRunner, AsyncRunnerBuilder, AsyncWork, AsyncWorker};
use procstate::{
    Claim, ClaimOptions, Clock, Durability, Effect, Event, FailureLimit, Instance, ManualClock, Origin,
    Outcome, Params, ProcessHandle, Progress, Retry, Shutdown, Status, Store, WorkResult,
};
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// The time of tokio, which tests may pause and advance.
#[derive(Debug)]
struct TokioClock(tokio::time::Instant);

impl Clock for TokioClock {
    fn now(&self) -> procstate::Timestamp {
        let start: procstate::Timestamp = "2026-11-23T12:10:00Z".parse().unwrap();
        start + self.0.elapsed()
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

fn store() -> Store {
    Store::builder().clock(TokioClock(tokio::time::Instant::now())).in_memory()
}

fn process(store: &Store, items: usize) -> ProcessHandle {
    let process = store.process("p").unwrap();
    process.register_all((0..items).map(|n| (format!("w{n:05}"), Params::new()))).unwrap();
    process
}

fn runner(store: &Store) -> AsyncRunnerBuilder {
    AsyncRunner::builder(store, "p").rest(Duration::ZERO)
}

fn finished(outcome: Outcome) -> Status {
    match outcome {
        Outcome::Finished(status) => status,
        other => panic!("not finished: {other:?}"),
    }
}

fn item(process: &ProcessHandle, n: usize) -> Status {
    process.work(&format!("w{n:05}")).unwrap().details.unwrap().status.unwrap()
}

/// Waits in real time for the effect of other threads.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        sleep(Duration::from_millis(1)).await;
    }
}

/// Counts concurrent futures and their maximum.
#[derive(Clone, Default)]
struct Gauge(Arc<(AtomicUsize, AtomicUsize)>);

struct Present(Gauge);

impl Gauge {
    fn enter(&self) -> Present {
        let present = self.0.0.fetch_add(1, SeqCst) + 1;
        self.0.1.fetch_max(present, SeqCst);
        Present(self.clone())
    }

    fn present(&self) -> usize {
        self.0.0.load(SeqCst)
    }

    fn most(&self) -> usize {
        self.0.1.load(SeqCst)
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.0.0.fetch_sub(1, SeqCst);
    }
}

type Working = Pin<Box<dyn Future<Output = WorkResult> + Send>>;

/// A worker that takes a second per item.
fn one_second_worker(gauge: &Gauge) -> impl Fn(AsyncWork) -> Working + use<> {
    let gauge = gauge.clone();
    move |_work| {
        let present = gauge.enter();
        Box::pin(async move {
            sleep(SECOND).await;
            drop(present);
            Ok(())
        })
    }
}

/// A worker that never completes by itself.
fn waits_for_ever(gauge: &Gauge) -> impl Fn(AsyncWork) -> Working + use<> {
    let gauge = gauge.clone();
    move |_work| {
        let gauge = gauge.clone();
        Box::pin(async move {
            let _present = gauge.enter();
            std::future::pending().await
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_items_at_once() {
    const ITEMS: usize = 10_000;
    const CONCURRENCY: usize = 1000;
    let store = Store::in_memory();
    process(&store, ITEMS);
    let gauge = Gauge::default();
    let inside = gauge.clone();
    let runner = runner(&store).concurrency(CONCURRENCY).worker_fn(move |work| {
        let (inside, present) = (inside.clone(), inside.enter());
        async move {
            while inside.most() < CONCURRENCY {
                sleep(Duration::from_millis(1)).await;
            }
            sleep(Duration::from_millis(5)).await;
            work.add_stat("done", 1.0);
            drop(present);
            Ok(())
        }
    });
    let status = finished(runner.build().unwrap().run_once().await.unwrap());
    assert_eq!(status.state(), State::Completed);
    assert_eq!(status.stats["work.done"], ITEMS as f64);
    assert_eq!(status.stats["workItems"], ITEMS as f64);
    assert_eq!((gauge.most(), gauge.present()), (CONCURRENCY, 0));
}

struct Both;

impl AsyncWorker for Both {
    async fn process(&self, work: AsyncWork) -> WorkResult {
        tokio::task::yield_now().await;
        work.add_stat("processed", 1.0);
        Ok(())
    }

    async fn clean_up(&self, work: AsyncWork) -> WorkResult {
        tokio::task::yield_now().await;
        work.add_stat("cleaned", 1.0);
        Ok(())
    }
}

#[tokio::test]
async fn cleanup_work_is_cleaned_up() {
    let store = store();
    let process = process(&store, 2);
    process.unregister("w00000").unwrap();
    let status = finished(runner(&store).worker(Both).build().unwrap().run_once().await.unwrap());
    assert_eq!((status.stats["work.processed"], status.stats["work.cleaned"]), (1.0, 1.0));
    assert_eq!(process.work("w00000").unwrap().state, "dropped");
}

// Time-outs, retries, panics.

#[tokio::test(start_paused = true)]
async fn a_time_out_drops_the_future_and_the_next_attempt_begins_after_that() {
    let store = store();
    let process = process(&store, 1);
    let gauge = Gauge::default();
    let runner = runner(&store)
        .item_timeout(Duration::from_millis(300))
        .retry(Retry::attempts(3).initial(SECOND))
        .worker_fn(waits_for_ever(&gauge));
    let began = tokio::time::Instant::now();
    let status = finished(runner.build().unwrap().run_once().await.unwrap());
    assert_eq!(status.state(), State::Incomplete);
    assert_eq!((gauge.most(), gauge.present()), (1, 0));
    let errors = item(&process, 0).errors;
    assert_eq!(errors.len(), 3, "{errors:?}");
    assert!(errors.iter().all(|error| error.text == "timed out after 300ms"), "{errors:?}");
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(3900) && took < Duration::from_millis(4100), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_grace_lets_a_cancelled_worker_end_in_good_order() {
    let store = store();
    process(&store, 1);
    let runner = runner(&store).item_timeout(SECOND).cancel_grace(SECOND).worker_fn(|work| async move {
        work.cancelled().await;
        assert!(work.is_cancelled());
        sleep(Duration::from_millis(900)).await;
        work.add_stat("ended", 1.0);
        Ok(())
    });
    let status = finished(runner.build().unwrap().run_once().await.unwrap());
    assert_eq!(status.stats["work.ended"], 1.0);
    assert_eq!((status.state(), status.errors.len()), (State::Incomplete, 1));
}

#[tokio::test(start_paused = true)]
async fn failures_are_retried_with_growing_waits() {
    let store = store();
    let process = process(&store, 2);
    let runner = runner(&store).retry(Retry::attempts(4).initial(SECOND)).concurrency(2).worker_fn(
        |work| async move {
            if work.name() == "w00000" && work.attempt() < 4 {
                return Err(format!("attempt {}", work.attempt()).into());
            }
            Ok(())
        },
    );
    let began = tokio::time::Instant::now();
    let status = finished(runner.build().unwrap().run_once().await.unwrap());
    let took = began.elapsed();
    assert!(took >= 7 * SECOND && took < 8 * SECOND, "{took:?}");
    assert_eq!(status.state(), State::Completed);
    assert_eq!(item(&process, 0).errors.len(), 3);
}

#[tokio::test]
async fn a_panic_is_an_error_of_its_item_alone() {
    let store = store();
    let process = process(&store, 3);
    let runner = runner(&store).retry(Retry::attempts(5)).worker_fn(|work| async move {
        tokio::task::yield_now().await;
        assert!(work.name() != "w00001", "this one");
        Ok(())
    });
    finished(runner.build().unwrap().run_once().await.unwrap());
    assert_eq!([0, 2].map(|n| item(&process, n).state()), [State::Completed; 2]);
    assert_eq!(item(&process, 1).state(), State::Aborted);
    assert_eq!(item(&process, 1).errors[0].text, "the worker panicked: this one");
}

/// Before the first `await`, and on drop.
#[tokio::test(start_paused = true)]
async fn panics_in_odd_places_are_errors_too() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in a drop");
        }
    }
    let store = store();
    let process = process(&store, 2);
    let runner = runner(&store).item_timeout(SECOND).worker_fn(|work| {
        assert!(work.name() != "w00000", "at once");
        async move {
            let _bomb = Bomb;
            std::future::pending().await
        }
    });
    finished(runner.build().unwrap().run_once().await.unwrap());
    assert_eq!(item(&process, 0).errors[0].text, "the worker panicked: at once");
    assert_eq!(item(&process, 1).errors[1].text, "the worker panicked: in a drop");
}

#[tokio::test(start_paused = true)]
async fn an_item_with_too_many_errors_is_cancelled() {
    let store = store();
    let process = process(&store, 1);
    let runner = runner(&store).worker_fn(|work| async move {
        (0..11).for_each(|n| work.add_error(format!("{n}")));
        std::future::pending().await
    });
    finished(runner.build().unwrap().run_once().await.unwrap());
    assert_eq!(item(&process, 0).state(), State::Aborted);
}

// Heartbeats.

#[tokio::test(start_paused = true)]
async fn a_future_that_waits_is_alive_without_a_word() {
    let store = store();
    let process = process(&store, 1);
    let runner = runner(&store).worker_fn(|work| async move {
        work.add_stat("seen", 1.0);
        sleep(HOUR).await;
        Ok(())
    });
    let runner = runner.build().unwrap();
    let run = tokio::spawn(async move { runner.run_once().await });
    sleep(HOUR / 2).await;
    assert!(matches!(process.claim(&Instance::new()).unwrap(), Claim::Held { .. }));
    assert_eq!(item(&process, 0).stats["seen"], 1.0, "stored while it waits");
    assert_eq!(finished(run.await.unwrap().unwrap()).state(), State::Completed);
}

#[tokio::test]
async fn a_run_taken_over_drops_its_futures_and_stops_writing() {
    let clock = ManualClock::new("2026-11-23T12:10:00Z".parse().unwrap());
    let store = Store::builder().clock(clock.clone()).in_memory();
    let process = process(&store, 5);
    let gauge = Gauge::default();
    let runner = runner(&store).concurrency(3).worker_fn(waits_for_ever(&gauge)).build().unwrap();
    let run = tokio::spawn(async move { runner.run_once().await });
    eventually("three are in progress", || gauge.present() == 3).await;
    // Without an await in between, so that the runner does not notice earlier.
    clock.advance(30 * SECOND);
    let Claim::Won(other) = process.claim(&Instance::new()).unwrap() else { panic!("it has lapsed") };
    let outcome = run.await.unwrap().unwrap();
    assert!(matches!(outcome, Outcome::Lapsed | Outcome::Lost(_)), "{outcome:?}");
    assert_eq!(gauge.present(), 0, "dropped before the run is reported as over");
    assert_eq!(other.progress_now().unwrap(), Progress::Updated, "its run is undisturbed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_blocks_its_thread_does_not_look_alive() {
    let store = Store::in_memory();
    process(&store, 1);
    let released = Arc::new(AtomicBool::new(false));
    let blocked = released.clone();
    let runner = runner(&store)
        .heartbeat_timeout(Duration::from_millis(200))
        .stop_grace(Duration::from_millis(50))
        .worker_fn(move |_| {
            let blocked = blocked.clone();
            async move {
                while !blocked.load(SeqCst) {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Ok(())
            }
        });
    let outcome = runner.build().unwrap().run_once().await.unwrap();
    released.store(true, SeqCst);
    assert!(matches!(outcome, Outcome::Lapsed), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_worker_that_timed_out_is_left_behind() {
    // A thread blocked forever would keep the test from failing.
    let give_up = Instant::now() + Duration::from_secs(30);
    let store = Store::in_memory();
    let process = process(&store, 2);
    let released = Arc::new(AtomicBool::new(false));
    let blocked = released.clone();
    let runner = runner(&store)
        .every(HOUR)
        .item_timeout(Duration::from_millis(20))
        .stop_grace(Duration::from_millis(20))
        .worker_fn(move |work| {
            let blocked = blocked.clone();
            async move {
                while work.name() == "w00000" && !blocked.load(SeqCst) && Instant::now() < give_up {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Ok(())
            }
        });
    let handle = runner.spawn().unwrap();
    eventually("the run ends", || !process.history().unwrap().is_empty()).await;
    assert_eq!(handle.stuck_workers(), 1);
    assert_eq!(item(&process, 0).state(), State::Aborted);
    assert_eq!(item(&process, 1).state(), State::Completed);
    released.store(true, SeqCst);
    eventually("it returns", || handle.stuck_workers() == 0).await;
    handle.shutdown(Shutdown::Finish, SECOND).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn progress_is_reported_and_stored() {
    let store = store();
    process(&store, 1);
    let runner = runner(&store).progress_interval(Duration::ZERO).worker_fn(|work| async move {
        work.add_stat("n", 1.0);
        assert_eq!(work.progress().await?, Progress::Updated);
        Ok(())
    });
    assert_eq!(finished(runner.build().unwrap().run_once().await.unwrap()).state(), State::Completed);
}

// Stopping, and cancellation safety.

#[tokio::test(start_paused = true)]
async fn a_shutdown_deadline_hands_back_items_in_progress() {
    for how in [Shutdown::Finish, Shutdown::HandBack] {
        let store = store();
        let process = process(&store, 5);
        let gauge = Gauge::default();
        let handle = runner(&store).concurrency(2).worker_fn(waits_for_ever(&gauge)).spawn().unwrap();
        eventually("two are in progress", || gauge.present() == 2).await;
        let began = tokio::time::Instant::now();
        handle.shutdown(how, 10 * SECOND).await.unwrap();
        let took = began.elapsed();
        assert!(took >= 10 * SECOND && took < 11 * SECOND, "{took:?}");
        assert_eq!((gauge.present(), gauge.most()), (0, 2));
        assert_eq!(item(&process, 0).errors.len(), 0, "an interruption is not a failure");
        let runner = runner(&store).worker(Both).build().unwrap();
        let status = finished(runner.run_once().await.unwrap());
        assert_eq!((status.state(), status.stats["work.processed"]), (State::Completed, 5.0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_items_in_hand_end() {
    for (how, items) in [(Shutdown::HandBack, 2.0), (Shutdown::Finish, 5.0)] {
        let store = store();
        let process = process(&store, 5);
        let gauge = Gauge::default();
        let handle = runner(&store).every(HOUR).concurrency(2).worker_fn(one_second_worker(&gauge));
        let handle = handle.spawn().unwrap();
        eventually("two are in progress", || gauge.present() == 2).await;
        handle.shutdown(how, HOUR).await.unwrap();
        let status = process.snapshot().unwrap().process_status.unwrap();
        assert_eq!(status.stats["workItems"], items);
    }
}

#[tokio::test(start_paused = true)]
async fn cancelling_one_item_leaves_the_others_running() {
    let store = store();
    let process = process(&store, 3);
    let gauge = Gauge::default();
    let inside = gauge.clone();
    let runner =
        runner(&store).concurrency(3).retry(Retry::attempts(3).initial(HOUR)).worker_fn(move |work| {
            let present = inside.enter();
            async move {
                match work.name() {
                    "w00000" => std::future::pending().await,
                    "w00001" => return Err("tried again in an hour".into()),
                    _ => sleep(3 * HOUR).await,
                }
                drop(present);
                Ok(())
            }
        });
    let runner = runner.build().unwrap();
    let stopper = runner.stopper();
    assert!(!stopper.cancel("w00000").await, "there is no run");
    let began = tokio::time::Instant::now();
    let run = tokio::spawn(async move { runner.run_once().await });
    eventually("two are in progress, and one waits", || gauge.most() > 1 && gauge.present() == 2).await;
    assert!(stopper.cancel("w00000").await && stopper.cancel("w00001").await);
    assert!(!stopper.cancel("nobody").await);
    let status = finished(run.await.unwrap().unwrap());
    assert!(began.elapsed() < 4 * HOUR);
    let errors = |n| item(&process, n).errors.into_iter().map(|error| error.text).collect::<Vec<_>>();
    assert_eq!(
        (errors(0), errors(1)),
        (vec!["cancelled".to_owned()], vec!["tried again in an hour".to_owned(), "cancelled".to_owned()])
    );
    assert_eq!((status.stats["workItems"], status.stats["workItemsDirty"]), (3.0, 2.0));
    assert!(!stopper.cancel("w00002").await, "the run has ended");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_run_can_be_resumed_at_once() {
    let store = store();
    process(&store, 3);
    let gauge = Gauge::default();
    let first = runner(&store).concurrency(2).worker_fn(waits_for_ever(&gauge)).build().unwrap();
    assert!(tokio::time::timeout(SECOND, first.run_once()).await.is_err());
    eventually("the futures are dropped", || gauge.present() == 0).await;
    assert_eq!(gauge.most(), 2);
    let second = runner(&store).worker(Both).build().unwrap();
    let status = finished(second.run_once().await.unwrap());
    assert_eq!((status.state(), status.stats["work.processed"]), (State::Completed, 3.0));
}

/// Dropped at every possible await.
#[tokio::test]
async fn a_run_may_be_dropped_at_any_await() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("s")).unwrap();
    let process = process(&store, 40);
    for polls in 0..60 {
        let runner = runner(&store).concurrency(3).worker(Both).build().unwrap();
        let mut run = Box::pin(runner.run_now());
        let mut left = polls;
        let ended = poll_fn(|cx| {
            if left == 0 {
                return std::task::Poll::Ready(None);
            }
            left -= 1;
            run.as_mut().poll(cx).map(Some)
        });
        drop(ended.await);
    }
    let status = finished(runner(&store).worker(Both).build().unwrap().run_now().await.unwrap());
    assert_eq!(status.state(), State::Completed, "{status:?}");
    let whole = process.snapshot().unwrap();
    assert!(whole.active_work.values().all(|work| work.status.as_ref().unwrap().state() == State::Completed));
    store.close().unwrap();
}

/// An ended item ignores what its worker left running.
#[tokio::test(start_paused = true)]
async fn writes_of_an_ended_item_are_ignored() {
    let store = store();
    let process = process(&store, 1);
    let (send, received) = std::sync::mpsc::channel();
    let runner = runner(&store).item_timeout(SECOND).worker_fn(move |work| {
        send.send(work).unwrap();
        std::future::pending()
    });
    finished(runner.build().unwrap().run_once().await.unwrap());
    let work = received.recv().unwrap();
    assert!(work.is_cancelled());
    work.add_stat("late", 1.0);
    assert_eq!(work.progress().await.unwrap(), Progress::Aborted);
    assert!(!item(&process, 0).stats.contains_key("late"));
}

#[tokio::test(start_paused = true)]
async fn operators_steer_a_run_by_settings() {
    let store = store();
    let process = process(&store, 30);
    let gauge = Gauge::default();
    let handle = runner(&store).every(HOUR).concurrency(2).worker_fn(one_second_worker(&gauge));
    let set = |name: &str, value| {
        process.update_params(|params| params.int_params.extend([(name.to_owned(), value)])).unwrap()
    };
    set("flow.concurrency", 5);
    let handle = handle.spawn().unwrap();
    eventually("five are in progress", || gauge.present() == 5).await;
    set("flow.paused", 1);
    sleep(10 * SECOND).await;
    assert_eq!((gauge.present(), gauge.most()), (0, 5));
    set("flow.paused", 0);
    set("flow.itemsPerMinute", 6);
    sleep(61 * SECOND).await;
    let done = process.snapshot().unwrap().process_status.unwrap().stats["workItems"];
    assert!(done > 5.0 && done < 18.0, "{done}");
    handle.shutdown(Shutdown::HandBack, HOUR).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_run_stops_after_too_many_failed_items() {
    let store = store();
    process(&store, 30);
    let runner =
        runner(&store).max_failed_items(FailureLimit::Items(2)).worker_fn(|_| async { Err("no".into()) });
    let status = finished(runner.build().unwrap().run_once().await.unwrap());
    assert_eq!((status.state(), status.stats["workItemsDirty"]), (State::Aborted, 3.0));
}

#[tokio::test]
async fn items_that_survive_power_loss_share_syncs() {
    let (_folder, store) = on_disk();
    process(&store, 300);
    let runner = runner(&store)
        .concurrency(100)
        .progress_interval(Duration::ZERO)
        .progress_durability(Durability::Synced)
        .worker_fn(|work| async move {
            work.add_stat("n", 1.0);
            assert!(matches!(work.progress().await?, Progress::Updated | Progress::Merged));
            Ok(())
        });
    let status = finished(runner.build().unwrap().run_once().await.unwrap());
    assert_eq!((status.state(), status.stats["work.n"]), (State::Completed, 300.0));
    let stats = store.stats().unwrap();
    assert_eq!(stats.synced_seq, stats.last_seq);
    store.close().unwrap();
}

// The schedule.

#[tokio::test(start_paused = true)]
async fn one_run_per_slot_and_changes_are_noticed_at_once() {
    let store = store();
    let process = process(&store, 1);
    let runs = || process.history().unwrap().len();
    let handle = runner(&store).every(HOUR).worker(Both).spawn().unwrap();
    sleep(SECOND).await;
    assert_eq!(runs(), 1);
    sleep(48 * 60 * SECOND).await;
    assert_eq!(runs(), 1);
    sleep(2 * 60 * SECOND).await;
    assert_eq!(runs(), 2);
    process.register("x", Params::new()).unwrap();
    sleep(Duration::from_millis(10)).await;
    assert_eq!(runs(), 3);
    handle.shutdown(Shutdown::Finish, HOUR).await.unwrap();
}

// Calls that wait for the disk, and the feed.

fn on_disk() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("s")).unwrap();
    (folder, store)
}

/// On one thread: a blocking wait would keep the others from their change.
#[tokio::test]
async fn waiting_tasks_share_syncs_and_block_no_thread() {
    let (_folder, store) = on_disk();
    let process = AsyncProcess::new(&store.process("p").unwrap());
    let tasks: Vec<_> = (0..500)
        .map(|n| {
            let process = process.clone();
            tokio::spawn(async move { process.register(&format!("w{n}"), Params::new()).await.unwrap() })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), Effect::Changed);
    }
    assert_eq!(store.process("p").unwrap().summary().unwrap().active, 500);
    store.close().unwrap();
}

#[tokio::test]
async fn every_call_that_syncs_has_an_async_form() {
    let (_folder, store) = on_disk();
    let process = AsyncProcess::new(&store.process("p").unwrap());
    process.set_schedule(Some(HOUR)).await.unwrap();
    process.set_params(Params::new().int("n", 1)).await.unwrap();
    process
        .update_params(|params| {
            params.int_params.insert("n".to_owned(), 2);
        })
        .await
        .unwrap();
    let items = || ["a", "b", "c"].map(|name| (name, Params::new()));
    assert_eq!(process.register_all(items()).await.unwrap().changed, 3);
    process.unregister("a").await.unwrap();
    process.sync_work(items()).await.unwrap();
    let options = ClaimOptions::new();
    let Claim::Won(run) = process.claim(&Instance::new(), &options).await.unwrap() else { panic!("free") };
    AsyncProcess::hand_back(run).await.unwrap();
    let Claim::Won(mut run) = process.claim(&Instance::new(), &options).await.unwrap() else {
        panic!("handed back")
    };
    assert!(matches!(run.origin(), Origin::Resumed { .. }));
    while run.next_work().unwrap().is_some() {}
    assert_eq!(AsyncProcess::finish(run).await.unwrap().state(), State::Completed);
    store.close().unwrap();
}

/// Closing a store wakes up every waiter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_a_store_ends_every_wait() {
    for _ in 0..20 {
        let (_folder, store) = on_disk();
        let process = AsyncProcess::new(&store.process("p").unwrap());
        let events = store.watch("").into_stream();
        let waiting = tokio::spawn(async move {
            let mut events = events;
            while events.next().await.is_some() {}
        });
        let writing = tokio::spawn(async move {
            for n in 0.. {
                if let Err(error) = process.register(&format!("w{n}"), Params::new()).await {
                    return error;
                }
            }
            unreachable!()
        });
        sleep(Duration::from_millis(2)).await;
        store.close().unwrap();
        assert_eq!(writing.await.unwrap().to_string(), "the store was closed");
        waiting.await.unwrap();
    }
}

#[tokio::test]
async fn the_feed_is_a_stream() {
    let store = Store::in_memory();
    let mut events = store.watch("p").into_stream();
    let written = store.clone();
    let heard = tokio::spawn(async move {
        let mut heard = Vec::new();
        while heard.len() < 3 {
            let Some(Event::Committed { seq, changes }) =
                poll_fn(|cx| Pin::new(&mut events).poll_next(cx)).await
            else {
                panic!("nothing was missed, nor the store closed")
            };
            assert!(changes.iter().all(|change| change.process == "p"));
            heard.push(seq);
        }
        heard
    });
    for name in ["p", "q", "p", "p"] {
        tokio::task::yield_now().await;
        let name_of_work = format!("w{}", written.stats().unwrap().last_seq);
        written.process(name).unwrap().register(&name_of_work, Params::new()).unwrap();
    }
    assert_eq!(heard.await.unwrap(), [1, 3, 4]);
}

#[tokio::test]
async fn without_a_runtime_it_is_an_error() {
    let store = store();
    process(&store, 1);
    let runner = runner(&store).worker(Both).build().unwrap();
    let error = std::thread::spawn(move || runner.spawn().unwrap_err()).join().unwrap();
    assert!(error.to_string().contains("needs a tokio runtime"), "{error}");
}
