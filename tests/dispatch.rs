//! The distribution of items to a runner's threads.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "common/eventually.rs"]
mod eventually;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use eventually::eventually;
use procstate::proto::State;
use procstate::{Outcome, Params, ProcessHandle, Runner, Shutdown, Store};

fn process(store: &Store, items: usize) -> ProcessHandle {
    let process = store.process("p").unwrap();
    process.register_all((0..items).map(|n| (format!("w{n:04}"), Params::new()))).unwrap();
    process
}

fn state(process: &ProcessHandle, name: &str) -> String {
    process.work(name).unwrap().state
}

#[test]
fn each_item_is_done_once_at_any_concurrency() {
    for concurrency in [1, 2, 8, 64] {
        let store = Store::in_memory();
        process(&store, 2000);
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let outcome = Runner::builder(&store, "p").concurrency(concurrency).worker_fn(move |work| {
            counted.fetch_add(1, SeqCst);
            work.add_stat("n", 1.0);
            Ok(())
        });
        let Outcome::Finished(status) = outcome.run_once().unwrap() else { panic!("not finished") };
        assert_eq!(calls.load(SeqCst), 2000);
        assert_eq!((status.stats["workItems"], status.stats["work.n"]), (2000.0, 2000.0));
    }
}

#[test]
fn items_in_progress_never_exceed_the_concurrency() {
    let store = Store::in_memory();
    let process = process(&store, 300);
    let seen = process.clone();
    let most = Arc::new(AtomicUsize::new(0));
    let noted = most.clone();
    let outcome = Runner::builder(&store, "p").concurrency(4).worker_fn(move |_| {
        let page = seen.list(procstate::List::Active, None, 300)?;
        let is_active = |item: &&procstate::Item| {
            let status = item.work.as_ref().and_then(|work| work.status.as_ref());
            status.is_some_and(|status| status.state() == State::Active)
        };
        let active = page.items.iter().filter(is_active).count();
        noted.fetch_max(active, SeqCst);
        Ok(())
    });
    outcome.run_once().unwrap();
    assert!((1..=4).contains(&most.load(SeqCst)), "{most:?}");
}

#[test]
fn short_items_are_stored_while_a_long_one_runs() {
    for items in (37..=40).cycle().take(40) {
        let store = Store::in_memory();
        let process = process(&store, items);
        let last = format!("w{:04}", items - 1);
        let (let_go, held) = channel::<()>();
        let (is_long, held) = (last.clone(), Mutex::new(held));
        let runner = Runner::builder(&store, "p").concurrency(4).every(Duration::from_secs(3600));
        let runner = runner.worker_fn(move |work| {
            if work.name() == is_long {
                let _ = held.lock().unwrap().recv();
            }
            Ok(())
        });
        let runner = runner.spawn().unwrap();
        eventually("the long one is begun", || state(&process, &last) == "active");
        eventually("the others are stored", || {
            (0..items - 1).all(|n| state(&process, &format!("w{n:04}")) == "completed")
        });
        drop(let_go);
        runner.shutdown(Shutdown::Finish);
        runner.join().unwrap();
        assert_eq!(process.history().unwrap()[0].stats["workItems"], items as f64);
    }
}

#[test]
fn long_items_after_short_ones_run_concurrently() {
    let store = Store::in_memory();
    process(&store, 100);
    let barrier = std::sync::Barrier::new(8);
    let outcome = Runner::builder(&store, "p").concurrency(8).worker_fn(move |work| {
        if work.name() >= "w0092" {
            barrier.wait();
        }
        Ok(())
    });
    assert!(matches!(outcome.run_once().unwrap(), Outcome::Finished(_)));
}

#[test]
fn stopping_leaves_unstarted_items_to_the_next_run() {
    for _ in 0..20 {
        let store = Store::in_memory();
        let process = process(&store, 500);
        let runner = Runner::builder(&store, "p").concurrency(8).every(Duration::from_secs(3600));
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let runner = runner.worker_fn(move |_| {
            counted.fetch_add(1, SeqCst);
            Ok(())
        });
        let runner = runner.spawn().unwrap();
        eventually("it has begun", || calls.load(SeqCst) > 50);
        runner.shutdown(Shutdown::Now);
        runner.join().unwrap();
        let done = calls.load(SeqCst);
        let rest = Arc::new(AtomicUsize::new(0));
        let counted = rest.clone();
        let outcome = Runner::builder(&store, "p").worker_fn(move |_| {
            counted.fetch_add(1, SeqCst);
            Ok(())
        });
        if let Outcome::Finished(status) = outcome.run_once().unwrap() {
            assert_eq!(status.stats["workItems"], 500.0);
        }
        assert_eq!(done + rest.load(SeqCst), 500);
        assert_eq!(process.history().unwrap().len(), 1);
    }
}
