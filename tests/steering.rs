//! Controlling a process from outside its runs, and conditional changes.

mod common;
#[path = "common/eventually.rs"]
mod eventually;

use std::time::Duration;

use common::{Backing, TestStore};
use eventually::eventually;
use procstate::{
    Claim, Clock as _, Effect, Instance, List, Outcome, Params, Precondition, ProcessHandle, Runner,
    RunnerBuilder, Shutdown, Store,
};

const HOUR: Duration = Duration::from_secs(3600);

fn on_each(test: impl Fn(TestStore)) {
    [Backing::Memory, Backing::Disk].map(TestStore::new).into_iter().for_each(test);
}

/// Returns a runner whose items fail while they have the parameter `fails`, and that records its
/// work.
fn runner(store: &Store) -> RunnerBuilder {
    Runner::builder(store, "p").every(HOUR).worker_fn(|work| {
        work.add_stat("tries", 1.0);
        match work.params().get_int("fails") {
            Some(_) => Err("it fails".into()),
            None => Ok(()),
        }
    })
}

fn done(process: &ProcessHandle) -> f64 {
    process.snapshot().unwrap().process_status.unwrap().stats["workItems"]
}

#[test]
fn a_requested_run_is_due() {
    on_each(|mut store| {
        let process = store.handle("p");
        assert!(process.run_now().unwrap_err().is_not_found());
        process.register("a", Params::new()).unwrap();
        let worker = runner(&store).build().unwrap();
        assert!(matches!(worker.run_once().unwrap(), Outcome::Finished(_)));
        assert!(matches!(worker.run_once().unwrap(), Outcome::NotDue { .. }));
        process.run_now().unwrap();
        process.run_now().unwrap();
        let summary = process.summary().unwrap();
        assert_eq!(summary.next_due, store.clock.now());
        drop((process, worker));
        store.reopen();
        let worker = runner(&store).build().unwrap();
        assert!(matches!(worker.run_once().unwrap(), Outcome::Finished(_)));
        assert!(matches!(worker.run_once().unwrap(), Outcome::NotDue { .. }));
        // Requested during a run, it is the next one.
        let process = store.handle("p");
        process.run_now().unwrap();
        let Claim::Won(run) = process.claim(&Instance::new()).unwrap() else { panic!("not due") };
        process.run_now().unwrap();
        run.finish().unwrap();
        assert!(matches!(worker.run_once().unwrap(), Outcome::Finished(_)));
        assert!(matches!(worker.run_once().unwrap(), Outcome::NotDue { .. }));
    });
}

#[cfg(feature = "cron")]
#[test]
fn a_request_overrides_a_cron_schedule() {
    let store = TestStore::new(Backing::Memory);
    let process = store.handle("p");
    process.register("a", Params::new()).unwrap();
    process.set_cron("0 0 1 1 *", "UTC").unwrap();
    assert!(matches!(process.claim(&Instance::new()).unwrap(), Claim::NotDue { .. }));
    process.run_now().unwrap();
    // Even before its first run.
    let Claim::Won(run) = process.claim(&Instance::new()).unwrap() else { panic!("not due") };
    run.finish().unwrap();
    assert!(matches!(process.claim(&Instance::new()).unwrap(), Claim::NotDue { .. }));
}

#[test]
fn failed_items_are_retried_and_others_skipped() {
    on_each(|store| {
        let process = store.handle("p");
        process
            .register_all([("a", Params::new()), ("b", Params::new().int("fails", 1)), ("c", Params::new())])
            .unwrap();
        let worker = runner(&store).build().unwrap();
        worker.run_once().unwrap();
        assert_eq!(done(&process), 3.0);
        assert_eq!(process.retry_failed().unwrap(), 1);
        assert_eq!(process.work("b").unwrap().state, "queued");
        assert_eq!(process.work("a").unwrap().state, "completed");
        worker.run_once().unwrap();
        assert_eq!((done(&process), process.work("b").unwrap().state), (1.0, "incomplete".to_owned()));
        assert!(matches!(worker.run_once().unwrap(), Outcome::NotDue { .. }));
        // A requested full run stays a full one.
        process.run_now().unwrap();
        assert_eq!(process.retry_failed().unwrap(), 1);
        worker.run_once().unwrap();
        assert_eq!(done(&process), 3.0);
        // So does one that its slot makes due.
        process.retry_failed().unwrap();
        store.clock.advance(HOUR);
        worker.run_once().unwrap();
        assert_eq!(done(&process), 3.0);
    });
}

#[test]
fn a_waiting_runner_sees_the_request() {
    let store = Store::in_memory();
    let process = store.process("p").unwrap();
    process.register("a", Params::new()).unwrap();
    let (done, does) = std::sync::mpsc::channel();
    let runner = Runner::builder(&store, "p")
        .every(1000 * HOUR)
        .rest(Duration::ZERO)
        .worker_fn(move |_| {
            done.send(()).unwrap();
            Ok(())
        })
        .spawn()
        .unwrap();
    let next = || does.recv_timeout(Duration::from_secs(60)).unwrap();
    next();
    process.run_now().unwrap();
    next();
    // While in progress, it would not be queued.
    eventually("the item is done", || process.work("a").unwrap().state == "completed");
    process.retry(["a"]).unwrap();
    next();
    runner.shutdown(Shutdown::HandBack);
    runner.join().unwrap();
}

#[test]
fn nothing_failed_makes_no_run_due() {
    let store = TestStore::new(Backing::Memory);
    let process = store.handle("p");
    process.register("a", Params::new()).unwrap();
    let worker = runner(&store).build().unwrap();
    worker.run_once().unwrap();
    assert_eq!(process.retry_failed().unwrap(), 0);
    assert!(matches!(worker.run_once().unwrap(), Outcome::NotDue { .. }));
}

#[test]
fn named_items_are_repeated_completed_or_not() {
    on_each(|store| {
        let process = store.handle("p");
        process.register_all(["a", "b", "c"].map(|name| (name, Params::new()))).unwrap();
        let worker = runner(&store).build().unwrap();
        worker.run_once().unwrap();
        let error = process.retry(["a", "gone"]).unwrap_err();
        assert!(error.is_not_found() && error.to_string().contains("\"gone\""), "{error}");
        assert_eq!(process.work("a").unwrap().state, "completed");
        assert_eq!(process.retry(["c", "a", "a"]).unwrap(), 2);
        worker.run_once().unwrap();
        assert_eq!(done(&process), 2.0);
        // Queued items are processed too.
        process.register("d", Params::new()).unwrap();
        assert_eq!(process.retry(["d"]).unwrap(), 0);
        worker.run_once().unwrap();
        assert_eq!((done(&process), process.work("d").unwrap().state), (1.0, "completed".to_owned()));
    });
}

#[test]
fn an_item_in_hand_is_not_queued_under_its_run() {
    let store = TestStore::new(Backing::Memory);
    let process = store.handle("p");
    process.register("a", Params::new()).unwrap();
    let Claim::Won(mut run) = process.claim(&Instance::new()).unwrap() else { panic!("not due") };
    let work = run.next_work().unwrap().unwrap();
    assert_eq!(process.retry(["a"]).unwrap(), 0);
    assert_eq!(process.work("a").unwrap().state, "active");
    drop(work);
    run.finish().unwrap();
    assert!(matches!(process.claim(&Instance::new()).unwrap(), Claim::Won(_)));
}

#[test]
fn a_process_is_paused_and_resumed() {
    on_each(|store| {
        let process = store.handle("p");
        assert!(process.pause().unwrap_err().is_not_found());
        assert!(process.resume().unwrap_err().is_not_found());
        process.register("a", Params::new()).unwrap();
        let effects =
            [process.pause(), process.pause(), process.resume(), process.resume()].map(Result::unwrap);
        assert_eq!(effects, [Effect::Changed, Effect::Unchanged, Effect::Changed, Effect::Unchanged]);
        process.pause().unwrap();
        assert_eq!(process.settings().unwrap().params.get_int("flow.paused"), Some(1));
        assert!(process.is_paused().unwrap());
    });
}

#[test]
fn settings_change_only_from_the_expected_value() {
    on_each(|store| {
        let process = store.handle("p");
        let set = |precondition, n| {
            process.change_settings(precondition, |settings| {
                settings.schedule = Some(HOUR);
                settings.offset = Some(HOUR / 2);
                settings.params.int_params.insert("n".to_owned(), n);
            })
        };
        assert!(set(Precondition::Present, 1).unwrap_err().is_precondition_failed());
        assert!(!process.exists().unwrap());
        assert_eq!(set(Precondition::Absent, 1).unwrap(), Effect::Changed);
        let seen = process.settings().unwrap();
        assert_eq!(
            (seen.schedule, seen.offset, seen.params.get_int("n")),
            (Some(HOUR), Some(HOUR / 2), Some(1))
        );
        let at = Precondition::Version(seen.version);
        assert_eq!(set(at, 1).unwrap(), Effect::Unchanged);
        assert_eq!(set(at, 2).unwrap(), Effect::Changed);
        let error = set(at, 3).unwrap_err();
        assert!(error.is_precondition_failed(), "{error}");
        let text = error.to_string();
        assert!(text.contains("the settings of process \"p\"") && text.contains("read it again"), "{text}");
        assert!(set(Precondition::Absent, 3).unwrap_err().is_precondition_failed());
        assert_eq!(process.settings().unwrap().params.get_int("n"), Some(2));
        let none = process.change_settings(Precondition::None, |settings| {
            (settings.schedule, settings.offset) = (None, None);
        });
        none.unwrap();
        assert_eq!(process.settings().unwrap().schedule, None);
        let offset = process.change_settings(Precondition::None, |settings| settings.offset = Some(HOUR));
        assert!(offset.unwrap_err().is_invalid());
    });
}

#[cfg(feature = "cron")]
#[test]
fn a_cron_expression_and_a_period_exclude_each_other() {
    let store = TestStore::new(Backing::Memory);
    let process = store.handle("p");
    let cron = |text: &str| {
        process.change_settings(Precondition::None, |settings| settings.cron = Some(text.to_owned()))
    };
    cron("30  2 * * *  Europe/Berlin").unwrap();
    assert_eq!(process.settings().unwrap().cron.as_deref(), Some("30 2 * * * Europe/Berlin"));
    assert!(cron("nonsense").unwrap_err().is_invalid());
    process
        .change_settings(Precondition::None, |settings| {
            (settings.cron, settings.schedule) = (None, Some(HOUR));
        })
        .unwrap();
    let settings = process.settings().unwrap();
    assert_eq!((settings.cron, settings.schedule), (None, Some(HOUR)));
}

#[test]
fn items_change_only_at_the_expected_version() {
    on_each(|store| {
        let process = store.handle("p");
        let register = |n, precondition| process.register_if("a", Params::new().int("n", n), precondition);
        assert!(register(1, Precondition::Version(1)).unwrap_err().is_precondition_failed());
        assert_eq!(register(1, Precondition::Absent).unwrap(), Effect::Changed);
        assert!(register(2, Precondition::Absent).unwrap_err().is_precondition_failed());
        let seen = process.item("a").unwrap().unwrap();
        assert_eq!(process.list(List::Active, None, 1).unwrap().items[0], seen);
        assert_eq!(register(2, Precondition::Version(seen.version)).unwrap(), Effect::Changed);
        let stale = Precondition::Version(seen.version);
        assert!(register(2, stale).unwrap_err().is_precondition_failed());
        assert!(process.unregister_if("a", stale).unwrap_err().is_precondition_failed());
        let seen = process.item("a").unwrap().unwrap();
        assert_eq!(process.unregister_if("a", Precondition::Version(seen.version)).unwrap(), Effect::Changed);
        // It is the version of the item on any list.
        let gone = process.item("a").unwrap().unwrap();
        assert_eq!((gone.list, gone.work.is_some()), (List::Cleanup, false));
        assert_eq!(register(3, Precondition::Version(gone.version)).unwrap(), Effect::Changed);
        assert_eq!(process.item("b").unwrap(), None);
    });
}

#[test]
fn names_are_paged_by_prefix() {
    on_each(|store| {
        let names = ["a", "a\0b", "a/b", "ab", "b", "\u{e9}"];
        for name in names {
            let process = store.handle(name);
            process.register_all(names.map(|work| (work, Params::new()))).unwrap();
        }
        let walk = |prefix: &str, limit| {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let page = store.processes_page(prefix, after.as_deref(), limit).unwrap();
                assert!(page.names.len() <= limit);
                found.extend(page.names);
                after = page.next;
                if after.is_none() {
                    return found;
                }
            }
        };
        let process = store.handle("a");
        let items = |prefix: &str, limit| {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let page = process.list_prefix(List::Active, prefix, after.as_deref(), limit).unwrap();
                found.extend(page.items.into_iter().map(|item| item.name));
                after = page.next;
                if after.is_none() {
                    return found;
                }
            }
        };
        for prefix in ["", "a", "a\0", "b", "c", "\u{e9}", "zz"] {
            let expected: Vec<&str> = names.into_iter().filter(|name| name.starts_with(prefix)).collect();
            for limit in [1, 2, 7] {
                assert_eq!(walk(prefix, limit), expected, "{prefix:?} {limit}");
                assert_eq!(items(prefix, limit), expected, "{prefix:?} {limit}");
            }
        }
        assert!(store.processes_page("", None, 0).unwrap_err().is_invalid());
    });
}

#[test]
fn active_items_are_counted_by_state_and_remaining_work() {
    on_each(|store| {
        let process = store.handle("p");
        assert!(process.counts().unwrap_err().is_not_found());
        process.register_all(["a", "b", "c", "d"].map(|name| (name, Params::new()))).unwrap();
        process.unregister("d").unwrap();
        let states = |process: &ProcessHandle| -> Vec<(String, u64)> {
            process.counts().unwrap().states.into_iter().collect()
        };
        assert_eq!(states(&process), [("queued".to_owned(), 3)]);
        assert_eq!(process.counts().unwrap().remaining, 0, "no run is on");

        let mut run = common::won(&process);
        assert_eq!(process.counts().unwrap().remaining, 3);
        // It waits for the next run.
        process.register("later", Params::new()).unwrap();
        let mut item = run.next_work().unwrap().unwrap();
        assert_eq!(process.counts().unwrap().remaining, 3, "one of them is in progress");
        item.add_error("it fails");
        drop(item);
        drop(run.next_work().unwrap());
        let counts = process.counts().unwrap();
        assert_eq!((counts.remaining, counts.states["incomplete"], counts.states["queued"]), (1, 1, 2));
        while run.next_work().unwrap().is_some() {}
        run.finish().unwrap();
        let counts = process.counts().unwrap();
        assert_eq!((counts.remaining, counts.states["completed"]), (0, 2));

        // A retry skips completed items.
        process.retry(["a"]).unwrap();
        let Claim::Won(run) = process.claim(&Instance::new()).unwrap() else { panic!("not due") };
        assert_eq!(process.counts().unwrap().remaining, 2, "a and later");
        drop(run);
    });
}
