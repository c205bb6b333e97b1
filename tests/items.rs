//! Items that are decoded when asked: they say what a decoded list says.

#[path = "common/arbitrary.rs"]
#[allow(dead_code, unreachable_pub)]
mod arbitrary;
mod common;

use std::sync::atomic::{AtomicBool, Ordering};

use common::{Backing, TestStore, won};
use procstate::proto::State;
use procstate::{ImportMode, Item, Items, List, Params, Process, ProcessHandle, Result, StoredItem};
use proptest::prelude::*;

fn collect(items: Items) -> Vec<StoredItem> {
    items.collect::<Result<_>>().unwrap()
}

fn decoded(process: &ProcessHandle, list: List) -> Vec<Item> {
    process.list(list, None, usize::MAX).unwrap().items
}

/// All that a stored item tells is what the decoded one tells.
fn assert_same(stored: &StoredItem, item: &Item) {
    // Statistics may be NaN.
    assert_eq!(format!("{:?}", stored.to_item().unwrap()), format!("{item:?}"));
    assert_eq!((stored.name(), stored.list()), (item.name.as_str(), item.list));
    assert_eq!((stored.version(), stored.since()), (item.version, item.since));
    assert_eq!(stored.state_name(), item.response("p").state);
    assert_eq!(stored.failed_attempts(), item.failed_attempts);
    let status = item.work.as_ref().map(|work| work.status.clone().unwrap_or_default());
    assert_eq!(stored.state(), status.as_ref().map(|status| status.state()));
    let status = status.unwrap_or_default();
    assert_eq!(stored.total_errors(), status.total_errors);
    assert_eq!(stored.has_errors(), status.total_errors > 0 || !status.errors.is_empty());
    let progress =
        status.progress_time.map(|time| procstate::Timestamp::new(time.seconds, time.nanos).unwrap());
    assert_eq!(stored.progress_time(), progress);
}

fn say_the_same(store: &TestStore, process: &Process) {
    store.import(process.clone(), ImportMode::Replace).unwrap();
    let handle = store.handle(&process.process_name);
    for list in List::ALL {
        let (stored, items) = (collect(handle.items(list)), decoded(&handle, list));
        assert_eq!(stored.len(), items.len());
        stored.iter().zip(&items).for_each(|(stored, item)| assert_same(stored, item));
        for item in &items {
            let after: Vec<String> = collect(handle.items(list).after(&item.name))
                .iter()
                .map(|item| item.name().to_owned())
                .collect();
            let later: Vec<&String> =
                items.iter().map(|item| &item.name).filter(|name| **name > item.name).collect();
            assert_eq!(after.iter().collect::<Vec<_>>(), later);
            let prefix = &item.name[..item.name.chars().next().unwrap().len_utf8()];
            let begin: Vec<StoredItem> = collect(handle.items(list).with_prefix(prefix));
            let expected: Vec<&Item> = items.iter().filter(|item| item.name.starts_with(prefix)).collect();
            assert_eq!(begin.len(), expected.len());
            begin.iter().zip(expected).for_each(|(stored, item)| assert_same(stored, item));
        }
    }
}

proptest! {
    #![proptest_config(arbitrary::config())]

    #[test]
    fn in_memory(process in arbitrary::process()) {
        say_the_same(&TestStore::new(Backing::Memory), &process);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..arbitrary::config() })]

    /// From the index, and from the memtable over it.
    #[test]
    fn on_disk(processes in proptest::collection::vec(arbitrary::process(), 1..8)) {
        let mut store = TestStore::new(Backing::Disk);
        for process in &processes {
            say_the_same(&store, process);
        }
        store.reopen();
        for process in &processes {
            let handle = store.handle(&process.process_name);
            for list in List::ALL {
                let (stored, items) = (collect(handle.items(list)), decoded(&handle, list));
                prop_assert_eq!(stored.len(), items.len());
                stored.iter().zip(&items).for_each(|(stored, item)| assert_same(stored, item));
            }
        }
    }
}

on_every_engine! {
    fn a_process_that_is_not_there_is_the_first_answer_and_the_last(store: TestStore) {
        let mut items = store.handle("nobody").items(List::Active);
        assert!(items.next().unwrap().unwrap_err().is_not_found());
        assert!(items.next().is_none());
        store.handle("p").set_params(Params::new()).unwrap();
        assert!(store.handle("p").items(List::Active).next().is_none());
    }

    fn many_pages_and_large_items_come_one_after_the_other(store: TestStore) {
        let process = store.handle("p");
        let name = |n: usize| format!("{n:04}");
        let text = "x".repeat(300_000);
        let params = |n: usize| Params::new().string("text", if n.is_multiple_of(100) { &text } else { "" });
        process.register_all((0..700).map(|n| (name(n), params(n)))).unwrap();
        let names: Vec<String> =
            collect(process.items(List::Active)).iter().map(|item| item.name().to_owned()).collect();
        assert_eq!(names, (0..700).map(name).collect::<Vec<_>>());
        // What was read of a page does not change; what comes with the next one is newer.
        let mut items = process.items(List::Active);
        let first = items.next().unwrap().unwrap();
        process.unregister_all([name(0), name(699)]).unwrap();
        assert_eq!((first.state(), first.to_item().unwrap().name), (Some(State::New), name(0)));
        assert_eq!(items.count(), 698);
        assert_eq!(collect(process.items(List::Cleanup)).len(), 2);
    }

    fn a_run_shows_in_them(store: TestStore) {
        let process = store.handle("p");
        process.register_all(["a", "b", "c"].map(|name| (name, Params::new()))).unwrap();
        let mut run = won(&process);
        let mut work = run.next_work().unwrap().unwrap();
        work.add_error("bad");
        work.finish().unwrap();
        let in_hand = run.next_work().unwrap().unwrap();
        let states: Vec<_> =
            collect(process.items(List::Active)).iter().map(|item| (item.state_name(), item.total_errors())).collect();
        assert_eq!(states, [("incomplete", 1), ("active", 0), ("queued", 0)]);
        let counts = process.counts().unwrap();
        assert_eq!(counts.states.into_iter().collect::<Vec<_>>(), [("active", 1), ("incomplete", 1), ("queued", 1)].map(|(state, count)| (state.to_owned(), count)));
        drop(in_hand);
        run.finish().unwrap();
    }
}

/// While others write, checkpoint and snapshot: each item once, in order, whole.
#[test]
fn beside_writers_nothing_is_seen_twice_or_halfway() {
    let store = TestStore::new(Backing::Disk);
    let process = store.handle("p");
    let name = |n: i64| format!("{n:05}");
    let params = |n: i64, round: i64| Params::new().int("n", n).int("round", round);
    process.register_all((0..2000).map(|n| (name(n), params(n, 0)))).unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 1.. {
                // Every third stays where it is, with other parameters; the next ones come and go.
                process.register_all((0..2000).step_by(3).map(|n| (name(n), params(n, round)))).unwrap();
                process.unregister_all((1..2000).step_by(3).map(name)).unwrap();
                process.register_all((1..2000).step_by(3).map(|n| (name(n), params(n, round)))).unwrap();
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        for _ in 0..30 {
            let items = collect(process.items(List::Active));
            assert!(items.is_sorted_by(|one, next| one.name() < next.name()));
            let stayed = items.iter().filter(|item| item.name().parse::<i64>().unwrap() % 3 != 1);
            assert_eq!(stayed.count(), 2000 - 667);
            for item in &items {
                let work = item.to_item().unwrap().work.unwrap();
                assert_eq!(work.params.unwrap().get_int("n"), Some(item.name().parse().unwrap()));
                assert_eq!(item.state(), Some(State::New));
            }
        }
        is_over.store(true, Ordering::Relaxed);
        writer.join().unwrap();
    });
}
