//! Runs and their items, with concurrent changes.

mod common;

use std::fmt;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{TestStore, eager, won};
use procstate::proto::State;
use procstate::{
    Claim, ClaimOptions, Clock, Durability, Effect, FailureLimit, ImportMode, Instance, List, ManualClock,
    Origin, Params, ProcessHandle, Progress, Run, Status, Store, Timestamp,
};

fn params(n: i64) -> Params {
    Params::new().int("n", n)
}

fn registered(store: &TestStore, names: &[&str]) -> ProcessHandle {
    let process = store.handle("p");
    process.register_all(names.iter().map(|name| (*name, params(1)))).unwrap();
    process
}

/// Processes everything that is left; returns the names.
fn drain(run: &mut Run) -> Vec<String> {
    std::iter::from_fn(|| run.next_work().unwrap().map(|work| work.name().to_owned())).collect()
}

/// Claims a new or resumed run, even if none is due.
fn won_with(process: &ProcessHandle, options: ClaimOptions) -> Run {
    match process.claim_with(&Instance::new(), &options.force(true)).unwrap() {
        Claim::Won(run) => run,
        other => panic!("not won: {other:?}"),
    }
}

/// Takes every item of the run and fails it.
fn fail_all(run: &mut Run) -> Vec<String> {
    let fail = |mut work: procstate::WorkItem| {
        work.add_error("fails");
        work.name().to_owned()
    };
    std::iter::from_fn(|| run.next_work().unwrap().map(fail)).collect()
}

fn item_status(process: &ProcessHandle, name: &str) -> Status {
    process.work(name).unwrap().details.unwrap().status.unwrap()
}

fn state_of(process: &ProcessHandle, name: &str) -> String {
    process.work(name).unwrap().state
}

on_every_engine! {
    fn items_are_ordered_by_name_before_cleanups(store: TestStore) {
        let process = registered(&store, &["b", "a/2", "a", "\u{0}", "c"]);
        process.unregister("c").unwrap();
        process.unregister("0 never there").unwrap();
        let mut run = won(&process);
        assert_eq!(drain(&mut run), ["\u{0}", "a", "a/2", "b", "0 never there", "c"]);
        let status = run.finish().unwrap();
        assert_eq!(status.state(), State::Completed);
        assert_eq!(status.stats["workItems"], 4.0);
        assert_eq!(status.stats["workItemsCleaned"], 2.0);
        assert_eq!(state_of(&process, "c"), "dropped");
        assert_eq!(state_of(&process, "a"), "completed");
        assert_eq!(state_of(&process, "unheard of"), "purged");
    }

    fn many_items_are_each_done_once(store: TestStore) {
        let process = store.handle("p");
        let names: Vec<String> = (0..700).map(|n| format!("item-{n:04}")).collect();
        assert_eq!(process.register_all(names.iter().map(|name| (name.as_str(), params(1)))).unwrap().changed, 700);
        let mut run = won(&process);
        assert_eq!(drain(&mut run), names);
        run.finish().unwrap();
    }

    fn statistics_add_up_over_items_and_runs(store: TestStore) {
        let process = registered(&store, &["a", "b"]);
        for _ in 0..2 {
            let mut run = won(&process);
            while let Some(mut work) = run.next_work().unwrap() {
                work.add_stat("keys", 2.0);
                work.add_stat("keys", 0.5);
            }
            run.add_stat("own", 1.0);
            store.advance(10);
            let status = run.finish().unwrap();
            assert_eq!(status.stats["work.keys"], 5.0);
            assert_eq!(status.stats["duration"], 10.0);
        }
        assert_eq!(item_status(&process, "a").stats["keys"], 2.5);
        let totals = process.snapshot().unwrap().aggregate_stats;
        let expected = [
            ("work.keys", 10.0), ("own", 2.0), ("workItems", 4.0), ("duration", 20.0), ("runs", 2.0),
            ("errors", 0.0), ("state.completed", 2.0),
        ];
        assert_eq!(totals, expected.map(|(label, value)| (label.to_owned(), value)).into());
        let history = process.history().unwrap();
        assert_eq!(history.len(), 2);
        assert_eq!(history[0].stats["work.keys"], 5.0);
        assert!(history[0].start > history[1].start, "the latest first");
    }

    fn progress_is_written_no_more_often_than_its_interval(store: TestStore) {
        let process = registered(&store, &["a"]);
        let Claim::Won(mut run) = process.claim(&Instance::new()).unwrap() else { panic!() };
        let mut work = run.next_work().unwrap().unwrap();
        work.add_stat("n", 1.0);
        let before = store.stats().unwrap().last_seq;
        assert_eq!(run.progress().unwrap(), Progress::None);
        assert_eq!(store.stats().unwrap().last_seq, before);
        store.advance(1);
        assert_eq!(run.progress().unwrap(), Progress::Updated);
        assert_eq!(store.stats().unwrap().last_seq, before + 1);
        assert_eq!(item_status(&process, "a").stats["n"], 1.0);
        assert_eq!(run.progress_now().unwrap(), Progress::Updated);
    }

    fn params_changed_in_hand_reach_the_worker_and_its_status_stays(store: TestStore) {
        let process = registered(&store, &["a"]);
        let mut run = won(&process);
        let mut work = run.next_work().unwrap().unwrap();
        work.add_stat("n", 1.0);
        assert_eq!(process.register("a", params(2)).unwrap(), Effect::Changed);
        assert_eq!(state_of(&process, "a"), "active");
        assert_eq!(work.params(), params(1));
        assert_eq!(run.progress().unwrap(), Progress::Merged);
        assert_eq!(work.params(), params(2));
        assert_eq!(run.progress().unwrap(), Progress::Updated);
        // And once more, without progress between this and the end.
        process.register("a", params(3)).unwrap();
        work.finish().unwrap();
        let details = process.work("a").unwrap().details.unwrap();
        assert_eq!(details.params, Some(params(3)));
        assert_eq!(details.status.as_ref().unwrap().state(), State::Completed);
        assert_eq!(details.status.unwrap().stats["n"], 1.0);
        run.finish().unwrap();
    }

    fn an_item_without_news_is_merged_too(store: TestStore) {
        let process = registered(&store, &["a", "b"]);
        let mut run = won(&process);
        let (a, b) = (run.next_work().unwrap().unwrap(), run.next_work().unwrap().unwrap());
        process.register("a", params(2)).unwrap();
        process.unregister("b").unwrap();
        assert_eq!(run.progress().unwrap(), Progress::Merged);
        assert_eq!((a.params(), b.params()), (params(2), params(1)));
        assert_eq!(run.progress().unwrap(), Progress::Updated);
        drop((a, b));
        assert_eq!((state_of(&process, "a").as_str(), state_of(&process, "b").as_str()), ("completed", "cleanup"));
        run.finish().unwrap();
    }

    fn an_item_unregistered_in_hand_is_not_resurrected(store: TestStore) {
        let process = registered(&store, &["a", "b"]);
        let mut run = won(&process);
        let mut work = run.next_work().unwrap().unwrap();
        process.unregister("a").unwrap();
        process.unregister("b").unwrap();
        work.add_stat("n", 1.0);
        assert_eq!(run.progress().unwrap(), Progress::Merged);
        assert_eq!(state_of(&process, "a"), "cleanup");
        work.finish().unwrap();
        assert_eq!(state_of(&process, "a"), "cleanup");
        // b is skipped as active work; both are cleaned up.
        let mut seen = Vec::new();
        while let Some(work) = run.next_work().unwrap() {
            seen.push((work.name().to_owned(), work.list()));
        }
        assert_eq!(seen, [("a".to_owned(), List::Cleanup), ("b".to_owned(), List::Cleanup)]);
        let status = run.finish().unwrap();
        assert_eq!(status.stats["work.n"], 1.0, "completed work is counted");
        assert_eq!(state_of(&process, "a"), "dropped");
    }

    fn an_item_in_hand_is_not_cleaned_up_at_the_same_time(store: TestStore) {
        let process = registered(&store, &["a", "b"]);
        let mut run = won(&process);
        let (a, b) = (run.next_work().unwrap().unwrap(), run.next_work().unwrap().unwrap());
        process.unregister("a").unwrap();
        process.unregister("b").unwrap();
        b.finish().unwrap();
        assert_eq!(drain(&mut run), ["b"]);
        a.finish().unwrap();
        run.finish().unwrap();
        let Claim::Won(mut next) = process.claim(&Instance::new()).unwrap() else { panic!("not due") };
        assert_eq!(drain(&mut next), ["a"]);
        next.finish().unwrap();
    }

    fn an_item_that_cannot_be_begun_is_not_in_hand(store: TestStore) {
        let process = registered(&store, &["big", "small"]);
        let mut message = process.snapshot().unwrap();
        let big = message.active_work.get_mut("big").unwrap();
        big.params = Some(Params::new().string("s", "x".repeat((1 << 20) - 40)));
        let process = store.import(message, ImportMode::Replace).unwrap();
        let mut run = won(&process);
        let error = run.next_work().unwrap_err();
        assert!(error.is_invalid() && error.to_string().contains("work \"big\""), "{error}");
        assert_eq!(drain(&mut run), ["small"]);
        assert_eq!(run.finish().unwrap().stats["workItems"], 1.0);
        assert_eq!(state_of(&process, "big"), "queued");
    }

    fn a_failed_item_affects_no_other_end(store: TestStore) {
        let process = registered(&store, &["big", "small"]);
        let mut message = process.snapshot().unwrap();
        let big = message.active_work.get_mut("big").unwrap();
        big.params = Some(Params::new().string("s", "x".repeat((1 << 20) - 500)));
        let process = store.import(message, ImportMode::Replace).unwrap();
        let mut run = won(&process);
        let (mut big, small) = (run.next_work().unwrap().unwrap(), run.next_work().unwrap().unwrap());
        big.add_error("x".repeat(1000));
        drop(big);
        small.finish().unwrap();
        assert_eq!(state_of(&process, "small"), "completed");
        let error = run.progress().unwrap_err();
        assert!(error.is_invalid() && error.to_string().contains("work \"big\""), "{error}");
        assert_eq!(run.finish().unwrap().state(), State::Incomplete);
        // A run can be handed back whatever it has to report.
        let mut run = won(&process);
        let mut big = run.next_work().unwrap().unwrap();
        big.add_error("x".repeat(1000));
        drop(big);
        assert!(run.hand_back().unwrap_err().is_invalid());
        let run = won(&process);
        assert!(matches!(run.origin(), Origin::Resumed { .. }));
        run.finish().unwrap();
    }

    fn an_item_reregistered_in_progress_waits_for_the_next_run(store: TestStore) {
        let process = registered(&store, &["a"]);
        let mut run = won(&process);
        let mut work = run.next_work().unwrap().unwrap();
        work.add_stat("n", 1.0);
        process.unregister("a").unwrap();
        process.register("a", params(2)).unwrap();
        work.finish().unwrap();
        let fresh = process.work("a").unwrap();
        assert_eq!(fresh.state, "queued");
        assert_eq!(fresh.details.unwrap().params, Some(params(2)));
        assert_eq!(drain(&mut run), [""; 0]);
        run.finish().unwrap();
        let Claim::Won(mut next) = process.claim(&Instance::new()).unwrap() else { panic!("not due") };
        assert_eq!(drain(&mut next), ["a"]);
        next.finish().unwrap();
    }

    fn new_work_waits_for_the_next_run(store: TestStore) {
        let process = registered(&store, &["b"]);
        let mut run = won(&process);
        process.register("a", params(1)).unwrap();
        process.register("c", params(1)).unwrap();
        assert_eq!(run.progress().unwrap(), Progress::Merged);
        assert_eq!(drain(&mut run), ["b"]);
        run.finish().unwrap();
        assert_eq!(state_of(&process, "c"), "queued");
        let mut next = won(&process);
        assert_eq!(drain(&mut next), ["a", "b", "c"]);
        next.finish().unwrap();
    }

    fn settings_changed_during_a_run_are_kept_and_visible(store: TestStore) {
        let process = registered(&store, &["a"]);
        let run = won(&process);
        process.set_params(params(7)).unwrap();
        run.add_stat("n", 1.0);
        assert_eq!(run.settings(), Params::default());
        assert_eq!(run.progress().unwrap(), Progress::Merged);
        assert_eq!(run.settings(), params(7));
        process.set_params(params(8)).unwrap();
        let status = run.finish().unwrap();
        assert_eq!(process.settings().unwrap().params, params(8));
        assert_eq!(status.stats["n"], 1.0);
    }

    fn a_cleanup_asked_for_again_in_hand_is_kept(store: TestStore) {
        let process = registered(&store, &["a"]);
        process.unregister("a").unwrap();
        let mut run = won(&process);
        let work = run.next_work().unwrap().unwrap();
        assert_eq!(work.list(), List::Cleanup);
        process.register("a", params(2)).unwrap();
        work.finish().unwrap();
        assert_eq!(state_of(&process, "a"), "queued", "registered meanwhile: not dropped");
        process.unregister("a").unwrap();
        let work = run.next_work().unwrap();
        assert!(work.is_none(), "cleanup is done once in a run");
        run.finish().unwrap();
        assert_eq!(state_of(&process, "a"), "cleanup");
    }

    fn a_failed_cleanup_stays_on_its_list(store: TestStore) {
        let process = registered(&store, &[]);
        process.set_params(params(1)).unwrap();
        process.unregister("a").unwrap();
        let mut run = won(&process);
        let mut work = run.next_work().unwrap().unwrap();
        work.add_error("not today");
        work.finish().unwrap();
        assert_eq!(run.finish().unwrap().state(), State::Incomplete);
        assert_eq!(state_of(&process, "a"), "cleanup");
    }

    fn work_that_is_done_for_good_is_dropped(store: TestStore) {
        let process = registered(&store, &["done", "failed"]);
        let mut run = won(&process);
        while let Some(mut work) = run.next_work().unwrap() {
            work.drop_when_done();
            if work.name() == "failed" {
                work.add_error("no");
            }
        }
        run.finish().unwrap();
        assert_eq!(state_of(&process, "done"), "dropped");
        assert_eq!(state_of(&process, "failed"), "incomplete");
        let mut next = won(&process);
        assert_eq!(drain(&mut next), ["failed"]);
        next.finish().unwrap();
    }

    fn work_registered_with_other_params_is_not_done_for_good(store: TestStore) {
        let process = registered(&store, &["seen", "unseen"]);
        let mut run = won(&process);
        let (mut seen, mut unseen) = (run.next_work().unwrap().unwrap(), run.next_work().unwrap().unwrap());
        seen.drop_when_done();
        process.register("seen", params(2)).unwrap();
        assert_eq!(run.progress().unwrap(), Progress::Merged);
        process.register("unseen", params(2)).unwrap();
        unseen.drop_when_done();
        seen.finish().unwrap();
        unseen.finish().unwrap();
        run.finish().unwrap();
        for name in ["seen", "unseen"] {
            let work = process.work(name).unwrap();
            assert_eq!((work.state.as_str(), work.details.unwrap().params), ("completed", Some(params(2))));
        }
        let mut next = won(&process);
        assert_eq!(drain(&mut next), ["seen", "unseen"]);
        next.finish().unwrap();
    }

    fn a_resumed_run_repeats_nothing(store: TestStore) {
        let mut store = store;
        let process = registered(&store, &["a", "b", "c", "d"]);
        let mut run = won(&process);
        let start = run.status().start_time;
        drop(run.next_work().unwrap().unwrap());
        let mut failed = run.next_work().unwrap().unwrap();
        failed.add_error("no");
        failed.finish().unwrap();
        let mut broken_off = run.next_work().unwrap().unwrap();
        broken_off.add_stat("n", 1.0);
        let _ = run.progress().unwrap();
        process.register("e", params(1)).unwrap();
        store.advance(31);
        // As after a crash.
        std::mem::forget((run, broken_off));
        store.reopen();

        let process = store.handle("p");
        let mut run = won(&process);
        assert!(matches!(run.origin(), Origin::Resumed { .. }));
        assert_eq!(run.status().start_time, start);
        assert_eq!(drain(&mut run), ["b", "c", "d"], "a is done, e came later");
        let status = run.finish().unwrap();
        assert_eq!(status.stats["workItems"], 4.0);
        assert_eq!(status.stats["work.n"], 1.0);
        assert_eq!(status.total_errors, 1);
        // The retry of b succeeded.
        assert_eq!(status.state(), State::Completed);
        assert_eq!(item_status(&process, "c").stats["n"], 1.0);
    }

    fn a_cleanup_that_failed_counts_once_over_a_takeover(store: TestStore) {
        let process = registered(&store, &["a", "b"]);
        process.unregister("a").unwrap();
        process.unregister("b").unwrap();
        let mut run = won(&process);
        let mut work = run.next_work().unwrap().unwrap();
        work.add_error("no");
        work.finish().unwrap();
        run.next_work().unwrap().unwrap().abort("no").unwrap();
        assert_eq!(run.status().stats["workItems"], 2.0);
        run.hand_back().unwrap();
        let mut run = won(&process);
        assert_eq!(drain(&mut run), ["a", "b"]);
        let status = run.finish().unwrap();
        assert_eq!(status.state(), State::Completed);
        let counts = ["workItems", "workItemsDirty", "workItemsAborted", "workItemsCleaned"];
        assert_eq!(counts.map(|label| status.stats[label]), [0.0, 0.0, 0.0, 2.0]);
    }

    fn a_failed_and_reregistered_item_counts_once(store: TestStore) {
        let process = registered(&store, &["a", "b"]);
        let mut run = won(&process);
        for _ in 0..2 {
            run.next_work().unwrap().unwrap().abort("no").unwrap();
        }
        process.register("a", params(2)).unwrap();
        run.hand_back().unwrap();
        process.register("b", params(2)).unwrap();
        let mut run = won(&process);
        assert_eq!(drain(&mut run), ["a", "b"]);
        let status = run.finish().unwrap();
        assert_eq!((status.state(), status.stats["workItems"]), (State::Completed, 2.0));
    }

    fn an_imported_run_is_resumed_like_a_local_one(store: TestStore) {
        let process = registered(&store, &["done", "failed", "re-registered", "untouched"]);
        let mut run = won(&process);
        run.next_work().unwrap().unwrap().finish().unwrap();
        for _ in 0..2 {
            let mut work = run.next_work().unwrap().unwrap();
            work.add_stat("n", 1.0);
            work.add_error("no");
            work.finish().unwrap();
        }
        run.hand_back().unwrap();
        let process = store.import(process.snapshot().unwrap(), ImportMode::Replace).unwrap();
        process.register("re-registered", params(2)).unwrap();
        store.advance(1);
        let mut run = won(&process);
        assert_eq!(drain(&mut run), ["failed", "re-registered", "untouched"]);
        let status = run.finish().unwrap();
        assert_eq!((status.state(), status.stats["workItems"]), (State::Completed, 4.0));
        assert_eq!((item_status(&process, "failed").stats["n"], status.stats["work.n"]), (1.0, 2.0));
    }

    fn a_run_handed_back_is_resumed_at_once(store: TestStore) {
        let process = registered(&store, &["a", "b"]);
        let mut run = won(&process);
        drop(run.next_work().unwrap());
        run.hand_back().unwrap();
        let Claim::Won(mut run) = process.claim(&Instance::new()).unwrap() else { panic!("not free") };
        assert_eq!(drain(&mut run), ["b"]);
        run.finish().unwrap();
    }

    fn too_many_errors_of_an_item_end_it_alone(store: TestStore) {
        let process = registered(&store, &["a", "b"]);
        let mut run = won(&process);
        let mut work = run.next_work().unwrap().unwrap();
        for n in 0..10 {
            work.add_error(format!("error {n}"));
        }
        assert!(!work.should_stop());
        work.add_error("one too many");
        assert!(work.should_stop());
        assert_eq!(run.progress().unwrap(), Progress::Updated);
        drop(work);
        assert_eq!(drain(&mut run), ["b"]);
        let status = run.finish().unwrap();
        assert_eq!(status.state(), State::Incomplete);
        assert_eq!(status.total_errors, 11);
        assert_eq!(status.errors[0].text, "a: error 0");
        assert_eq!(status.stats["workItemsAborted"], 1.0);
        assert_eq!(item_status(&process, "a").state(), State::Aborted);
        assert_eq!(item_status(&process, "a").errors.len(), 10);
    }

    fn any_number_of_items_may_fail(store: TestStore) {
        let names: Vec<String> = (0..60).map(|n| format!("w{n:02}")).collect();
        let process = registered(&store, &names.iter().map(String::as_str).collect::<Vec<_>>());
        let mut run = won(&process);
        assert_eq!(fail_all(&mut run), names);
        let status = run.finish().unwrap();
        assert_eq!((status.state(), status.total_errors, status.errors.len()), (State::Incomplete, 60, 25));
    }

    fn a_run_stops_at_its_limit_with_a_reason(store: TestStore) {
        for (limit, done, why) in [
            (FailureLimit::Items(1), vec!["a", "b"], "stopped: 2 items failed, and the limit is 1"),
            (FailureLimit::Share(0.25), vec!["a", "b"], "stopped: 2 of 4 items failed, which is more than 25%"),
            (FailureLimit::Items(4), vec!["a", "b", "c", "d"], ""),
        ] {
            let process = store.process(&format!("{limit:?}")).unwrap();
            process.register_all(["a", "b", "c", "d"].map(|name| (name, Params::new()))).unwrap();
            let mut run = won_with(&process, eager().max_failed_items(limit));
            assert_eq!(fail_all(&mut run), done);
            let status = run.finish().unwrap();
            assert_eq!(status.state() == State::Aborted, !why.is_empty());
            assert_eq!(status.errors.last().unwrap().text.strip_prefix("d: ").map_or(why, |_| ""), why);
        }
    }

    fn items_missed_by_an_aborted_run_come_first_in_the_next(store: TestStore) {
        let process = registered(&store, &["a", "b", "c", "d", "e"]);
        let options = eager().max_failed_items(FailureLimit::Items(1));
        for expected in [["a", "b"], ["c", "d"], ["e", "a"], ["b", "c"], ["d", "a"]] {
            let mut run = won_with(&process, options.clone());
            assert_eq!(fail_all(&mut run), expected);
            assert_eq!(run.finish().unwrap().state(), State::Aborted);
        }
        // A run that completes restores the usual order.
        for expected in [["b", "c", "e", "a", "d"], ["a", "b", "c", "d", "e"]] {
            let mut run = won_with(&process, eager());
            assert_eq!(drain(&mut run), expected);
            run.finish().unwrap();
        }
    }

    fn a_run_taken_over_in_its_first_pass_does_each_item_once_more_at_most(store: TestStore) {
        let process = registered(&store, &["a", "b", "c", "d"]);
        let mut run = won_with(&process, eager().max_failed_items(FailureLimit::Items(1)));
        assert_eq!(fail_all(&mut run), ["a", "b"]);
        run.finish().unwrap();
        let mut run = won_with(&process, eager());
        drop(run.next_work().unwrap());
        run.next_work().unwrap().unwrap().add_error("fails");
        run.hand_back().unwrap();
        let mut run = won(&process);
        // c is done, d has failed; a and b remain.
        assert_eq!(drain(&mut run), ["a", "b", "d"]);
        assert_eq!(run.finish().unwrap().stats["workItems"], 4.0);
    }

    fn a_run_may_skip_completed_items(store: TestStore) {
        let process = registered(&store, &["a", "b", "c"]);
        let mut run = won(&process);
        drop(run.next_work().unwrap());
        assert_eq!(fail_all(&mut run), ["b", "c"]);
        run.finish().unwrap();
        process.register("d", Params::new()).unwrap();
        let options = eager().skip_completed(true);
        let mut run = won_with(&process, options.clone());
        run.next_work().unwrap().unwrap().add_error("b fails again");
        assert_eq!(drain(&mut run), ["c", "d"]);
        run.finish().unwrap();
        // a was completed before the last run, and stays skipped.
        let mut run = won_with(&process, options.clone());
        assert_eq!(drain(&mut run), ["b"]);
        run.finish().unwrap();
        process.register("a", params(7)).unwrap();
        assert_eq!(drain(&mut won_with(&process, options.clone())), ["a"]);
        assert_eq!(drain(&mut won_with(&process, eager())).len(), 4);
    }

    fn errors_of_a_run_are_all_counted_and_some_kept(store: TestStore) {
        let process = registered(&store, &["a"]);
        let run = won(&process);
        for _ in 0..25 {
            run.add_error("x".repeat(2000));
        }
        assert_eq!(run.progress().unwrap(), Progress::Updated);
        run.add_error("one too many");
        let status = run.finish().unwrap();
        assert_eq!(status.state(), State::Incomplete);
        assert_eq!((status.errors.len(), status.total_errors), (25, 26));
        assert_eq!(status.errors[24].text.len(), 1024);
    }

    fn a_statistic_beyond_a_limit_is_one_error(store: TestStore) {
        let process = registered(&store, &["a"]);
        let refused: [(&str, f64, &str); 3] = [
            ("runs", 1.0, "statistic \"runs\" was not counted: its label is reserved for what the store counts"),
            ("n", f64::NAN, "statistic \"n\" was not counted: NaN is not a finite number"),
            (&"x".repeat(257), 1.0, "xxx\" was not counted: its label has 257 bytes, and the limit is 256"),
        ];
        for (label, value, text) in refused {
            let run = won(&process);
            (0..30).for_each(|_| run.add_stat(label, value));
            let status = run.finish().unwrap();
            assert_eq!((status.state(), status.total_errors), (State::Incomplete, 1));
            assert!(status.errors[0].text.ends_with(text), "{:?}", status.errors);
            assert_eq!(status.stats.get("runs"), Some(&1.0));
        }
        let mut run = won(&process);
        let mut work = run.next_work().unwrap().unwrap();
        (0..1100).for_each(|n| work.add_stat(&n.to_string(), 1.0));
        work.finish().unwrap();
        let status = run.finish().unwrap();
        let text = "statistic \"1000\" of work \"a\" was not counted: there are 1000 other labels, which is the limit";
        assert_eq!((status.errors.len(), status.errors[0].text.as_str()), (1, text));
        assert_eq!(item_status(&process, "a").stats.len(), 1000);
    }

    fn items_reserve_space_for_their_run(store: TestStore) {
        let process = registered(&store, &[]);
        let sized = |bytes: usize| Params::new().string("s", "x".repeat(bytes));
        let error = process.register("a", sized((1 << 20) - (16 << 10))).unwrap_err();
        assert!(error.is_invalid() && error.to_string().contains("the limit is 1032192"), "{error}");
        process.register("a", sized((1 << 20) - (16 << 10) - 100)).unwrap();
        let mut run = won(&process);
        let mut work = run.next_work().unwrap().unwrap();
        (0..10).for_each(|_| work.add_error("x".repeat(1024)));
        (0..10).for_each(|n| work.add_stat(&format!("{n:0256}"), 1.0));
        work.finish().unwrap();
        let status = run.finish().unwrap();
        assert!(status.errors[10].text.ends_with("of work \"a\" was not counted: its record is full"), "{status:?}");
    }

    fn every_run_ends_although_the_totals_are_full(store: TestStore) {
        let process = registered(&store, &["a"]);
        for n in 0..6 {
            let run = won(&process);
            (0..1000).for_each(|label| run.add_stat(&format!("{n}-{label:0250}"), 1.0));
            assert_eq!(run.finish().unwrap().state(), State::Completed);
        }
        let totals = process.snapshot().unwrap().aggregate_stats;
        assert_eq!((totals["runs"], totals["state.completed"]), (6.0, 6.0));
        assert!(totals.contains_key(&format!("2-{:0250}", 0)) && !totals.contains_key(&format!("5-{:0250}", 0)));
    }

    fn a_run_whose_end_is_too_large_stays_unfinished(store: TestStore) {
        let process = registered(&store, &["a"]);
        won(&process).hand_back().unwrap();
        // Only an import can bring a status without space for the run's end.
        let mut message = process.snapshot().unwrap();
        let status = message.process_status.as_mut().unwrap();
        status.stats.insert("x".repeat((1 << 20) - 110), 1.0);
        let process = store.import(message, ImportMode::Replace).unwrap();
        let error = won(&process).finish().unwrap_err();
        assert!(error.is_invalid() && error.to_string().contains("the limit is 1048576"), "{error}");
        let status = process.snapshot().unwrap().process_status.unwrap();
        assert_eq!((status.state(), status.finish_time), (State::Active, None));
        assert!(matches!(won(&process).origin(), Origin::Resumed { .. }));
        store.advance(31);
        let Claim::Won(run) = process.claim_with(&Instance::new(), &eager().afresh(true)).unwrap() else { panic!() };
        run.finish().unwrap();
    }

    fn a_dropped_run_is_finished_as_aborted(store: TestStore) {
        let process = registered(&store, &["a"]);
        drop(won(&process));
        let status = process.snapshot().unwrap().process_status.unwrap();
        assert_eq!(status.state(), State::Aborted);
        assert_eq!(status.errors[0].text, "the run was dropped before it finished");
        assert!(matches!(process.claim(&Instance::new()).unwrap(), Claim::Won(_)), "still held");
    }

    fn a_panic_ends_the_item_and_the_run(store: TestStore) {
        let process = registered(&store, &["a"]);
        let mut run = won(&process);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _work = run.next_work().unwrap().unwrap();
            panic!("on purpose");
        }));
        assert!(panicked.is_err());
        assert_eq!(state_of(&process, "a"), "aborted");
        let status = process.snapshot().unwrap().process_status.unwrap();
        assert_eq!(status.state(), State::Aborted);
        assert_eq!(status.errors[0].text, "a: the worker panicked");
        assert_eq!(status.stats["workItemsAborted"], 1.0);
    }

    fn an_item_left_in_hand_at_the_end_was_not_done(store: TestStore) {
        let process = registered(&store, &["a"]);
        let mut run = won(&process);
        let work = run.next_work().unwrap().unwrap();
        let status = run.finish().unwrap();
        assert_eq!(status.state(), State::Incomplete);
        assert_eq!(state_of(&process, "a"), "aborted");
        let error = work.finish().unwrap_err();
        assert_eq!(error.to_string(), "the run on process \"p\" has ended; claim the process again to go on");
    }

    fn times_of_a_run_never_go_back(store: TestStore) {
        let process = registered(&store, &["a"]);
        let mut run = won(&process);
        store.clock.jump(jiff::SignedDuration::from_hours(-24));
        drop(run.next_work().unwrap());
        let status = run.finish().unwrap();
        assert_eq!(status.start_time, status.finish_time);
        assert_eq!(status.stats["duration"], 0.0);
        assert_eq!(item_status(&process, "a").finish_time, status.start_time);
    }

    fn old_history_makes_room(store: TestStore) {
        let process = registered(&store, &[]);
        process.set_params(params(1)).unwrap();
        for _ in 0..105 {
            store.advance(1);
            won(&process).finish().unwrap();
        }
        let history = process.history().unwrap();
        assert_eq!(history.len(), 100);
        assert_eq!(history[0].finish, Some(store.clock.now()));
    }

    fn a_page_has_at_least_one_item(store: TestStore) {
        let process = registered(&store, &["a", "b"]);
        let error = process.list(List::Active, None, 0).unwrap_err();
        assert!(error.is_invalid() && error.to_string().contains("a page cannot have 0 items"), "{error}");
        let page = process.list(List::Active, None, 1).unwrap();
        assert_eq!((page.items.len(), page.next.as_deref()), (1, Some("a")));
    }

    fn large_items_are_registered_in_several_commits(store: TestStore) {
        let process = store.handle("p");
        let large = || Params::new().string("s", "x".repeat(500_000));
        let before = store.stats().unwrap().last_seq;
        assert_eq!(process.register_all((0..40).map(|n| (n.to_string(), large()))).unwrap().changed, 40);
        let commits = store.stats().unwrap().last_seq - before;
        // In etcd each commit takes several revisions, more than a transaction can hold.
        assert!(store.is_in_etcd() || (2..=5).contains(&commits), "{commits} commits");
        assert_eq!(process.list(List::Active, None, 100).unwrap().items.len(), 40);
    }

    fn many_items_are_unregistered_and_synced(store: TestStore) {
        let process = registered(&store, &["a", "b", "c", "d"]);
        let mut run = won(&process);
        let work = run.next_work().unwrap().unwrap();
        assert_eq!(work.name(), "a");
        assert_eq!(process.unregister_all(["b", "b", "x"]).unwrap().unregistered, 2);
        let tally = process.sync_work([("a", params(2)), ("c", params(1)), ("e", params(1))]).unwrap();
        assert_eq!((tally.changed, tally.unchanged, tally.unregistered), (2, 1, 1));
        assert_eq!(run.progress().unwrap(), Progress::Merged);
        assert_eq!(work.params(), params(2));
        work.finish().unwrap();
        // The rest of the active work, and the cleanups; e waits for the next run.
        assert_eq!(drain(&mut run), ["c", "b", "d", "x"]);
        run.finish().unwrap();
        let states = ["a", "b", "c", "d", "e", "x"].map(|name| state_of(&process, name));
        assert_eq!(states, ["completed", "dropped", "completed", "dropped", "queued", "dropped"]);
    }

    fn a_merge_goes_beside_a_live_run(store: TestStore) {
        let process = registered(&store, &["a", "b"]);
        won_and_done(&process);
        process.set_params(params(7)).unwrap();
        let elsewhere = Store::builder().clock(store.clock.clone()).in_memory();
        store.advance(60);
        let other = elsewhere.process("p").unwrap();
        other.register_all([("a", params(1)), ("b", params(5)), ("new", params(1))]).unwrap();
        other.unregister("gone").unwrap();
        won_and_done(&other);
        let theirs = other.snapshot().unwrap();
        store.advance(60);
        let mut run = won(&process);
        let work = run.next_work().unwrap().unwrap();
        let owner = process.summary().unwrap().instance;
        store.import(theirs.clone(), ImportMode::Merge).unwrap();
        assert_eq!(process.summary().unwrap().instance, owner);
        assert_eq!(process.settings().unwrap().params, params(7));
        assert_eq!(process.history().unwrap().len(), 2, "the run that came is one of them");
        assert_eq!(run.progress().unwrap(), Progress::Merged);
        assert_eq!((work.name(), state_of(&process, "a").as_str()), ("a", "active"));
        work.finish().unwrap();
        assert_eq!(drain(&mut run), ["b"], "a new item waits for the next run");
        assert_eq!(process.work("b").unwrap().details.unwrap().params, Some(params(5)));
        assert_eq!(state_of(&process, "new"), "completed", "it came with its status");
        assert_eq!(state_of(&process, "gone"), "dropped");
        run.finish().unwrap();
        assert_eq!(process.history().unwrap().len(), 3);
        assert_eq!(process.snapshot().unwrap().aggregate_stats["runs"], 2.0);
        // Again: nothing changes.
        let before = process.snapshot().unwrap();
        store.import(theirs, ImportMode::Merge).unwrap();
        assert_eq!(process.snapshot().unwrap(), before);
        assert_eq!(process.history().unwrap().len(), 3);
    }

    fn a_merge_into_a_process_without_runs_imports_the_run(store: TestStore) {
        let elsewhere = Store::builder().clock(store.clock.clone()).in_memory();
        let other = elsewhere.process("p").unwrap();
        other.register_all([("a", params(1)), ("b", params(1))]).unwrap();
        let mut run = won(&other);
        run.next_work().unwrap().unwrap().finish().unwrap();
        let theirs = other.snapshot().unwrap();
        drop(run);
        store.advance(60);
        let process = registered(&store, &["c"]);
        store.import(theirs, ImportMode::Merge).unwrap();
        let mut run = won(&process);
        assert_eq!(drain(&mut run), ["b", "c"], "a was completed by the resumed run");
        run.finish().unwrap();
    }

    fn purging_removes_only_old_entries(store: TestStore) {
        let process = registered(&store, &["old", "new", "active"]);
        process.unregister("old").unwrap();
        won_and_done(&process);
        store.advance(3600);
        process.unregister("new").unwrap();
        won_and_done(&process);
        let purged = process.purge(Duration::from_secs(1800)).unwrap();
        assert_eq!((purged.dropped, purged.runs), (1, 1));
        assert_eq!(state_of(&process, "old"), "purged");
        assert_eq!(state_of(&process, "new"), "dropped");
        assert_eq!(state_of(&process, "active"), "completed");
        assert_eq!(process.history().unwrap().len(), 1);
    }

    fn many_dropped_items_are_purged(store: TestStore) {
        let process = store.handle("p");
        process.set_params(params(1)).unwrap();
        let handle = process.clone().with_durability(Durability::Buffered);
        for n in 0..1100 {
            handle.unregister(&format!("w{n}")).unwrap();
        }
        won_and_done(&process);
        assert_eq!(process.list(List::Dropped, None, 2000).unwrap().items.len(), 1100);
        store.advance(1);
        assert_eq!(process.purge(Duration::ZERO).unwrap().dropped, 1100);
        assert_eq!(process.list(List::Dropped, None, 1).unwrap().items.len(), 0);
    }
}

fn won_and_done(process: &ProcessHandle) {
    let mut run = won(process);
    drain(&mut run);
    run.finish().unwrap();
}

type Interruption = Box<dyn FnOnce() + Send>;

/// A clock that runs a callback before it returns the time.
#[derive(Clone)]
struct Interrupting {
    clock: ManualClock,
    then: Arc<Mutex<Option<Interruption>>>,
}

impl Interrupting {
    fn new() -> (Self, Store) {
        let clock = ManualClock::new("2026-01-01T10:00:00Z".parse().unwrap());
        let clock = Self { clock, then: Arc::default() };
        let store = Store::builder().clock(clock.clone()).in_memory();
        (clock, store)
    }

    fn interrupt(&self, then: impl FnOnce() + Send + 'static) {
        *self.then.lock().unwrap() = Some(Box::new(then));
    }
}

impl fmt::Debug for Interrupting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.clock.fmt(f)
    }
}

impl Clock for Interrupting {
    fn now(&self) -> Timestamp {
        let then = self.then.lock().unwrap().take();
        if let Some(then) = then {
            then();
        }
        self.clock.now()
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }
}

#[test]
fn work_registered_across_a_claim_waits_for_the_next_run() {
    let (clock, store) = Interrupting::new();
    let process = store.process("p").unwrap();
    process.set_params(params(0)).unwrap();
    let (won_run, run) = channel();
    let other = process.clone();
    clock.interrupt(move || won_run.send(won(&other)).unwrap());
    process.register("w", params(1)).unwrap();
    let mut run = run.try_recv().unwrap();
    assert_eq!(drain(&mut run), [""; 0], "it was registered after the run began");
    run.finish().unwrap();
    let Claim::Won(mut next) = process.claim(&Instance::new()).unwrap() else { panic!("not due") };
    assert_eq!(drain(&mut next), ["w"]);
    next.finish().unwrap();
}

#[test]
fn a_run_can_be_inspected_during_a_write() {
    let (clock, store) = Interrupting::new();
    let process = store.process("p").unwrap();
    process.register("w", params(1)).unwrap();
    let mut run = won(&process);
    let work = run.next_work().unwrap().unwrap();
    let (writes, written) = (channel(), channel::<()>());
    // Reading the time pauses the write in the middle.
    clock.interrupt(move || {
        writes.0.send(()).unwrap();
        let _ = written.1.recv();
    });
    std::thread::scope(|scope| {
        let run = &run;
        scope.spawn(move || assert_eq!(run.progress_now().unwrap(), Progress::Updated));
        writes.1.recv().unwrap();
        let (answers, answer) = channel();
        scope.spawn(move || answers.send((run.is_lapsed(), run.lapses_in(), work.should_stop())));
        let answer = answer.recv_timeout(Duration::from_secs(5));
        written.0.send(()).unwrap();
        assert_eq!(answer.expect("it waits for the write"), (false, Duration::from_secs(30), false));
    });
    run.finish().unwrap();
}

/// Many threads register and unregister during runs, and every name ends where its last call put
/// it.
#[test]
fn concurrent_registration_and_runs_lose_nothing() {
    let store = TestStore::new(common::Backing::Memory);
    let process = store.handle("p");
    process.set_params(params(0)).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let process = &process;
            scope.spawn(move || {
                for round in 0..200 {
                    for n in 0..5 {
                        let name = format!("{thread}-{n}");
                        process.register(&name, params(round)).unwrap();
                        if round % 3 == 0 {
                            process.unregister(&name).unwrap();
                        }
                    }
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..100 {
                let Claim::Won(mut run) = process.claim_with(&Instance::new(), &eager()).unwrap() else {
                    panic!("no other thread claims")
                };
                while let Some(mut work) = run.next_work().unwrap() {
                    work.add_stat("n", 1.0);
                    let _ = run.progress().unwrap();
                }
                run.finish().unwrap();
            }
        });
    });
    let whole = process.snapshot().unwrap();
    assert_eq!(whole.active_work.len(), 15);
    for (name, work) in &whole.active_work {
        assert_eq!(work.params, Some(params(199)), "{name}");
    }
    assert_eq!(whole.aggregate_stats["runs"], 100.0);
}
