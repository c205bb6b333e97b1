//! Tests of the change feed.

mod common;

use std::time::{Duration, Instant};

use common::{TestStore, won};
use procstate::{Change, Changed, Event, List, Params, Store};

const SOON: Duration = Duration::from_secs(5);

fn next(watch: &procstate::Watch) -> (u64, Vec<Change>) {
    match watch.next_within(SOON) {
        Some(Event::Committed { seq, changes }) => (seq, changes),
        other => panic!("no commit: {other:?}"),
    }
}

fn work(list: List, name: &str) -> Changed {
    Changed::Work { list, name: name.to_owned() }
}

on_every_engine! {
    fn every_commit_is_heard_in_order_and_whole(store: TestStore) {
        let watch = store.watch("");
        let process = store.handle("p");
        process.register("w", Params::new()).unwrap();
        process.register("w", Params::new()).unwrap();
        process.unregister("w").unwrap();
        let mut run = won(&process);
        drop(run.next_work().unwrap());
        run.finish().unwrap();

        let (first, changes) = next(&watch);
        let what: Vec<Changed> = changes.into_iter().map(|change| change.what).collect();
        assert_eq!(what, [work(List::Active, "w"), Changed::Settings, Changed::Owner]);
        let (second, changes) = next(&watch);
        assert_eq!(second, first + 1, "a call without changes is not delivered");
        let moved: Vec<(Changed, bool)> = changes.into_iter().map(|change| (change.what, change.removed)).collect();
        assert!(moved.contains(&(work(List::Active, "w"), true)));
        assert!(moved.contains(&(work(List::Cleanup, "w"), false)));
        let (_, claimed) = next(&watch);
        assert!(claimed.iter().any(|change| change.what == Changed::Owner));
        let (_, begun) = next(&watch);
        assert!(begun.iter().all(|change| change.what == Changed::Status));
        let (_, dropped) = next(&watch);
        assert!(dropped.iter().any(|change| change.what == work(List::Dropped, "w")));
        let (_, finished) = next(&watch);
        assert!(finished.iter().any(|change| change.what == Changed::History));
        assert_eq!(watch.next_within(Duration::ZERO), None);
    }

    fn only_the_prefix_is_heard(store: TestStore) {
        let watch = store.watch("gc/");
        for name in ["sync", "gc", "gc/keys", "gc/logs"] {
            store.handle(name).set_params(Params::new()).unwrap();
        }
        let heard: Vec<String> = (0..2).map(|_| next(&watch).1.remove(0).process).collect();
        assert_eq!(heard, ["gc/keys", "gc/logs"]);
        assert_eq!(watch.next_within(Duration::ZERO), None);
    }
}

#[test]
fn a_slow_reader_learns_how_much_it_missed() {
    let store = Store::in_memory();
    let watch = store.watch("");
    let process = store.process("p").unwrap();
    for n in 0..5000 {
        process.set_params(Params::new().int("n", n)).unwrap();
    }
    for _ in 0..4096 {
        next(&watch);
    }
    assert_eq!(watch.next_within(SOON), Some(Event::Missed(5000 - 4096)));
    process.set_params(Params::new()).unwrap();
    next(&watch);
}

#[test]
fn the_end_of_the_store_ends_the_watch() {
    let store = Store::in_memory();
    let mut watch = store.watch("");
    let reader = std::thread::spawn(move || watch.by_ref().count());
    store.process("p").unwrap().set_params(Params::new()).unwrap();
    store.close().unwrap();
    assert_eq!(reader.join().unwrap(), 1);
}

#[test]
fn a_watch_of_a_closed_store_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for store in [Store::in_memory(), Store::open(folder.path()).unwrap()] {
        store.clone().close().unwrap();
        let mut watch = store.watch("");
        let reader = std::thread::spawn(move || watch.next());
        let deadline = Instant::now() + SOON;
        while !reader.is_finished() {
            assert!(Instant::now() < deadline, "it waits for ever");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(reader.join().unwrap(), None);
    }
}
