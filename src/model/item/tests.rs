//! An item through its registrations and runs.

use super::*;

const RUN: u64 = 100;

fn new_run(number: u64, now: Timestamp) -> RunStatus {
    run::begin(number, &RunStatus::default(), false, now)
}

fn now() -> Timestamp {
    "2026-01-01T10:00:00Z".parse().unwrap()
}

fn later() -> Timestamp {
    "2026-01-01T10:10:00Z".parse().unwrap()
}

fn params(n: i64) -> Params {
    Params::new().int("n", n)
}

fn registered() -> Item {
    register(None, &params(1), None, now(), 5).unwrap()
}

fn in_hand() -> Item {
    let mut item = registered();
    begin(&mut item, &new_run(RUN, now()), now());
    item
}

fn state(item: &Item) -> State {
    status(item).unwrap().state()
}

#[test]
fn a_new_item_is_queued() {
    let item = registered();
    assert_eq!(state(&item), State::New);
    assert_eq!(item.registered, 5);
}

#[test]
fn equal_params_change_nothing() {
    assert_eq!(register(Some(&registered()), &params(1), None, later(), 9), None);
}

#[test]
fn new_params_queue_it_again_in_its_place() {
    let mut item = in_hand();
    finish(&mut item, State::Completed, now());
    let run = new_run(RUN + 1, now());
    let again = register(Some(&item), &params(2), Some(&run), later(), 9).unwrap();
    assert_eq!(state(&again), State::New);
    assert_eq!((again.registered, again.run, again.ended()), (5, 0, State::Unspecified));
    assert_eq!(again.work.unwrap().modified, Some(time::to_wire(later())));
}

#[test]
fn the_count_of_a_reregistered_item_is_reverted_once() {
    let native = new_run(RUN, now());
    let imported = new_run(0, now());
    for run in [native, imported] {
        let resumed = run::resume(run.clone(), RUN, later());
        for end in [State::Completed, State::Incomplete, State::Aborted] {
            let mut item = Item { run: run.run, ..in_hand() };
            finish(&mut item, end, now());
            let again = register(Some(&item), &params(2), Some(&run), later(), 9).unwrap();
            let mut again = register(Some(&again), &params(3), Some(&run), later(), 9).unwrap();
            assert_eq!(state(&again), State::New);
            assert!(is_to_do(&again, &resumed));
            assert_eq!(ended_before(&again, &resumed), Some(end));
            assert_eq!(ended_before(&again, &new_run(RUN + 1, later())), None);
            begin(&mut again, &resumed, later());
            assert_eq!(ended_before(&again, &resumed), None);
            assert_eq!(again.ended(), State::Unspecified);
        }
    }
}

#[test]
fn a_running_item_keeps_its_status_and_gets_the_params() {
    let run = new_run(RUN, now());
    let again = register(Some(&in_hand()), &params(2), Some(&run), later(), 9).unwrap();
    assert_eq!(state(&again), State::Active);
    assert_eq!(again.work.unwrap().params, Some(params(2)));
    // Left active by a run that is over, so no run is working on it.
    let other = new_run(RUN + 1, now());
    let again = register(Some(&in_hand()), &params(2), Some(&other), later(), 9).unwrap();
    assert_eq!(state(&again), State::New);
}

#[test]
fn a_run_processes_the_items_of_its_start_once() {
    let run = new_run(RUN, now());
    let mut item = registered();
    assert!(is_to_do(&item, &run));
    item.registered = RUN;
    assert!(!is_to_do(&item, &run));
    let mut item = in_hand();
    assert!(is_to_do(&item, &run));
    finish(&mut item, State::Incomplete, now());
    assert!(is_to_do(&item, &run));
    finish(&mut item, State::Completed, now());
    assert!(!is_to_do(&item, &run));
    assert!(is_to_do(&item, &new_run(RUN + 1, now())));
}

#[test]
fn a_run_that_skips_completed_items_processes_the_rest() {
    let whole = new_run(RUN, now());
    let retry = run::begin(RUN + 1, &whole, true, later());
    for (state, last_run, is_processed) in [
        (State::Completed, RUN - 1, true),
        (State::Completed, RUN, false),
        (State::Incomplete, RUN, true),
        (State::Aborted, RUN, true),
        (State::New, 0, true),
    ] {
        let mut item = in_hand();
        finish(&mut item, state, now());
        item.run = last_run;
        assert_eq!(is_to_do(&item, &retry), is_processed, "{state:?} in run {last_run}");
        assert!(is_to_do(&item, &new_run(RUN + 1, later())), "{state:?} in run {last_run}");
    }
}

#[test]
fn items_begun_since_the_aborted_run_come_later() {
    for (begun_since, last_run, is_later) in
        [(0, 0, false), (0, RUN, false), (RUN, RUN - 1, false), (RUN, RUN, true), (RUN, RUN + 1, true)]
    {
        let run = RunStatus { begun_since, ..new_run(RUN + 2, later()) };
        let item = Item { run: last_run, ..registered() };
        assert_eq!(comes_later(&item, &run), is_later, "run {last_run}, begun since {begun_since}");
    }
}

#[test]
fn a_resumed_import_is_judged_by_times() {
    let resumed = run::resume(new_run(0, now()), RUN, later());
    let mut item = Item { run: 0, ..in_hand() };
    finish(&mut item, State::Completed, now());
    assert!(!is_to_do(&item, &resumed));
    let before = "2026-01-01T09:00:00Z".parse().unwrap();
    finish(&mut item, State::Completed, before);
    assert!(is_to_do(&item, &resumed));
    // An item that it ended with errors is processed again, and its statistics continue.
    stats::add(&mut item.work.as_mut().unwrap().status.as_mut().unwrap().stats, "n", 3.0);
    finish(&mut item, State::Incomplete, now());
    assert_eq!(ended_before(&item, &resumed), Some(State::Incomplete));
    begin(&mut item, &resumed, later());
    assert_eq!((item.run, status(&item).unwrap().stats.len()), (RUN, 1));
}

#[test]
fn statistics_accumulate_within_a_run_and_reset_in_the_next() {
    let mut item = in_hand();
    stats::add(&mut item.work.as_mut().unwrap().status.as_mut().unwrap().stats, "n", 3.0);
    let mut same = item.clone();
    begin(&mut same, &new_run(RUN, now()), later());
    assert_eq!(status(&same).unwrap().stats.len(), 1);
    assert_eq!(status(&same).unwrap().start_time, Some(time::to_wire(now())));
    begin(&mut item, &new_run(RUN + 1, later()), later());
    assert_eq!(status(&item).unwrap().stats.len(), 0);
    assert_eq!(status(&item).unwrap().start_time, Some(time::to_wire(later())));
}

#[test]
fn failed_attempts_accumulate_within_a_run_and_reset_in_the_next() {
    for (run, failed_attempts) in [(RUN, 2), (RUN + 1, 0)] {
        let mut item = Item { failed_attempts: 2, ..in_hand() };
        begin(&mut item, &new_run(run, later()), later());
        assert_eq!(item.failed_attempts, failed_attempts, "run {run}");
    }
}

#[test]
fn a_reopened_item_is_active_and_not_finished() {
    let mut item = in_hand();
    finish(&mut item, State::Completed, later());
    reopen(&mut item);
    assert_eq!(state(&item), State::Active);
    assert_eq!(status(&item).unwrap().finish_time, None);
}

#[test]
fn a_full_item_accepts_only_known_labels() {
    let with_bytes = |bytes| {
        let params = Params::new().string("s", "x".repeat(bytes));
        let mut item = register(None, &params, None, now(), 5).unwrap();
        stats::add(&mut item.work.as_mut().unwrap().status.as_mut().unwrap().stats, "known", 1.0);
        item
    };
    let label = "other";
    let overhead = with_bytes(limits::ITEM_BYTES_MAX / 2).exact_len() - limits::ITEM_BYTES_MAX / 2;
    let free = label.len() + stats::COUNTER_BYTES;
    let fits = limits::ITEM_BYTES_MAX - overhead - free;
    assert_eq!(with_bytes(fits).exact_len() + free, limits::ITEM_BYTES_MAX);
    assert!(has_room_for(&with_bytes(fits), label));
    assert!(!has_room_for(&with_bytes(fits + 1), label));
    assert!(has_room_for(&with_bytes(limits::ITEM_BYTES_MAX), "known"));
}

#[test]
fn parameters_are_read_from_the_work() {
    assert_eq!(super::params(&registered()), Some(&params(1)));
    assert_eq!(super::params(&Item::default()), None);
}

#[test]
fn merging_takes_their_params_and_our_status() {
    let ours = in_hand();
    let theirs = register(Some(&registered()), &params(2), None, later(), 9).unwrap();
    let merged = merge(&ours, Some(&theirs)).unwrap();
    assert_eq!(merged.work.as_ref().unwrap().params, Some(params(2)));
    assert_eq!(state(&merged), State::Active);
    let reborn = Item { registered: 77, ..registered() };
    assert_eq!(merge(&ours, Some(&reborn)), None);
    assert_eq!(merge(&ours, None), None);
}

#[test]
fn the_head_of_an_item_has_all_but_parameters_statistics_and_errors() {
    let mut expected = in_hand();
    finish(&mut expected, State::Incomplete, later());
    expected.set_ended(State::Aborted);
    expected.failed_attempts = 2;
    let work = expected.work.as_mut().unwrap();
    work.params = None;
    let status = work.status.as_mut().unwrap();
    (status.total_errors, status.last_error_time) = (3, Some(time::to_wire(later())));
    let mut item = expected.clone();
    let work = item.work.as_mut().unwrap();
    work.params = Some(params(1));
    stats::add(&mut work.status.as_mut().unwrap().stats, "n", 3.0);
    let head = <ItemHead as prost::Message>::decode(item.encode_exactly().as_slice()).unwrap();
    assert_eq!(Item::from(head), expected);
}
