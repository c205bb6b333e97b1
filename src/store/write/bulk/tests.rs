//! Bulk operations treat each item like the single operations.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::clock::ManualClock;
use crate::model::limits;
use crate::proto::Process;
use crate::store::Store;

fn store() -> Store {
    let clock = ManualClock::new("2026-01-01T10:00:00Z".parse().unwrap());
    Store::builder().clock(clock).in_memory()
}

fn params(n: i64) -> Params {
    Params::new().int("n", n)
}

/// A process with work on every list.
fn prepared(items: &[(String, u8)]) -> ProcessHandle {
    let process = store().process("p").unwrap();
    for (name, kind) in items {
        process.register(name, params(i64::from(kind % 3))).unwrap();
        if *kind > 2 {
            process.unregister(name).unwrap();
        }
    }
    process.register("last", Params::new()).unwrap();
    process
}

fn snapshot(process: &ProcessHandle) -> Process {
    process.snapshot().unwrap()
}

fn named() -> impl Strategy<Value = Vec<(String, u8)>> {
    proptest::collection::vec(("[a-f]{1,2}", 0_u8..5), 0..20)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn registering_many_is_registering_each(before in named(), items in named()) {
        let (all, each) = (prepared(&before), prepared(&before));
        let items: BTreeMap<String, Params> =
            items.into_iter().map(|(name, n)| (name, params(i64::from(n)))).collect();
        let mut expected = Tally::default();
        for (name, params) in &items {
            match each.register(name, params.clone()).unwrap() {
                crate::Effect::Changed => expected.changed += 1,
                crate::Effect::Unchanged => expected.unchanged += 1,
            }
        }
        prop_assert_eq!(all.register_all(items).unwrap(), expected);
        prop_assert_eq!(snapshot(&all), snapshot(&each));
    }

    #[test]
    fn unregistering_many_is_unregistering_each(before in named(), names in named()) {
        let (all, each) = (prepared(&before), prepared(&before));
        let names: BTreeMap<String, u8> = names.into_iter().collect();
        let mut expected = Tally::default();
        for name in names.keys() {
            match each.unregister(name).unwrap() {
                crate::Effect::Changed => expected.unregistered += 1,
                crate::Effect::Unchanged => expected.unchanged += 1,
            }
        }
        prop_assert_eq!(all.unregister_all(names.into_keys()).unwrap(), expected);
        prop_assert_eq!(snapshot(&all), snapshot(&each));
    }

    #[test]
    fn a_sync_registers_and_unregisters_the_rest(before in named(), items in named()) {
        let (all, each) = (prepared(&before), prepared(&before));
        let items: BTreeMap<String, Params> =
            items.into_iter().map(|(name, n)| (name, params(i64::from(n)))).collect();
        let mut expected = each.register_all(items.clone()).unwrap();
        for name in snapshot(&each).active_work.into_keys().filter(|name| !items.contains_key(name)) {
            each.unregister(&name).unwrap();
            expected.unregistered += 1;
        }
        prop_assert_eq!(all.sync_work(items.clone()).unwrap(), expected);
        prop_assert_eq!(snapshot(&all), snapshot(&each));
        let again = all.sync_work(items.clone()).unwrap();
        prop_assert_eq!(again, Tally { unchanged: items.len(), ..Tally::default() });
    }
}

#[test]
fn the_last_duplicate_wins_across_commits() {
    let process = store().process("p").unwrap();
    let twice = (0..3000).map(|n| (format!("w{}", n % 1500), params(n)));
    assert_eq!(process.register_all(twice).unwrap().changed, 1500);
    let active = snapshot(&process).active_work;
    assert_eq!(active["w0"].params, Some(params(1500)));
    assert_eq!(active["w1499"].params, Some(params(2999)));
}

#[test]
fn nothing_is_written_if_one_item_is_invalid() {
    let process = prepared(&[]);
    let before = snapshot(&process);
    let good = || (0..2000).map(|n| (format!("w{n}"), params(n)));
    let large = Params::new().string("s", "x".repeat(limits::ITEM_BYTES_MAX - 20));
    for bad in [(String::new(), params(1)), ("x".repeat(1025), params(1)), ("z".to_owned(), large)] {
        assert!(process.register_all(good().chain([bad.clone()])).unwrap_err().is_invalid());
        assert!(process.sync_work(good().chain([bad])).unwrap_err().is_invalid());
    }
    assert!(process.unregister_all(["last".to_owned(), "x".repeat(1025)]).unwrap_err().is_invalid());
    assert_eq!(snapshot(&process), before);
}

/// A few names in long lists, and all names.
#[test]
fn items_are_found_on_every_list() {
    let process = store().process("p").unwrap();
    let every = |step: usize| (0..3000).step_by(step).map(|n| (format!("w{n:04}"), params(n as i64)));
    process.register_all(every(1)).unwrap();
    process.unregister_all((0..1500).map(|n| format!("w{n:04}"))).unwrap();
    for step in [100, 1] {
        let tally = process.register_all(every(step)).unwrap();
        let (changed, all) = if step == 100 { (15, 30) } else { (1485, 3000) };
        assert_eq!((tally.changed, tally.unchanged), (changed, all - changed), "every {step}");
    }
    let process = snapshot(&process);
    assert_eq!((process.active_work.len(), process.cleanup_work.len()), (3000, 0));
}

#[test]
fn items_are_written_before_the_iterator_ends() {
    let process = store().process("p").unwrap();
    let seen = process.clone();
    let items = (0..20_000).map(|n| {
        if n == 19_999 {
            assert!(seen.work("w0").unwrap().details.is_some());
        }
        (format!("w{n}"), params(n))
    });
    assert_eq!(process.register_all(items).unwrap().changed, 20_000);
}

/// A run and other writers change items meanwhile.
#[test]
fn concurrent_writes_are_not_overwritten() {
    let process = store().process("p").unwrap();
    let all = |round: i64| (0..2000).map(move |n| (format!("w{n:04}"), params(n + round)));
    process.register_all(all(0)).unwrap();
    let done = std::thread::scope(|scope| {
        let runner = scope.spawn(|| {
            let builder = crate::Runner::builder(process.store(), "p");
            let outcome = builder.worker_fn(|work| {
                work.add_stat("n", 1.0);
                Ok(())
            });
            outcome.run_once().unwrap()
        });
        for round in 1..5 {
            process.register_all(all(round)).unwrap();
        }
        runner.join().unwrap()
    });
    let crate::Outcome::Finished(status) = done else { panic!("not finished: {done:?}") };
    assert_eq!(status.stats["work.n"], 2000.0);
    let process = snapshot(&process);
    for (n, (name, work)) in process.active_work.iter().enumerate() {
        assert_eq!(work.params, Some(params(n as i64 + 4)), "{name}");
        // Registered again after it was done, it is queued again.
        let status = work.status.as_ref().unwrap();
        let is_queued = status.state() == crate::proto::State::New;
        assert_eq!(status.stats.get("n").copied(), (!is_queued).then_some(1.0), "{name}");
    }
}

#[test]
fn a_missing_process() {
    let process = store().process("p").unwrap();
    assert!(process.unregister_all(["w"]).unwrap_err().is_not_found());
    assert_eq!(process.sync_work([] as [(&str, Params); 0]).unwrap(), Tally::default());
    assert!(!process.exists().unwrap());
}

#[test]
fn a_sync_covers_every_page_of_a_long_list() {
    let process = store().process("p").unwrap();
    process.register_all((0..3500).map(|n| (format!("w{n}"), params(n)))).unwrap();
    let tally = process.sync_work((3490..3510).map(|n| (format!("w{n}"), params(n)))).unwrap();
    assert_eq!((tally.changed, tally.unchanged, tally.unregistered), (10, 10, 3490));
}
