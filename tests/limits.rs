//! The run limits in the settings.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::time::Duration;

use procstate::proto::State;
use procstate::{
    Claim, ClaimOptions, FailureLimit, ImportMode, Instance, ManualClock, Outcome, Params, Precondition,
    ProcessHandle, Runner, Store,
};

const MINUTE: Duration = Duration::from_secs(60);

fn process(store: &Store) -> ProcessHandle {
    let process = store.process("p").unwrap();
    process.register_all((0..10).map(|n| (format!("w{n}"), Params::new()))).unwrap();
    process
}

/// Returns how many failing items a run processes, and how it ends.
fn run(builder: procstate::RunnerBuilder) -> (f64, State) {
    let outcome = builder.worker_fn(|_| Err("no".into())).build().unwrap().run_now().unwrap();
    let Outcome::Finished(status) = outcome else { panic!("not finished: {outcome:?}") };
    (status.stats["workItemsDirty"], status.state())
}

#[test]
fn a_run_stops_after_as_many_failures_as_the_settings_say() {
    let store = Store::in_memory();
    let process = process(&store);
    process.set_max_failed_items(Some(FailureLimit::Items(2))).unwrap();
    assert_eq!(run(Runner::builder(&store, "p")), (3.0, State::Aborted));
    process.set_max_failed_items(Some(FailureLimit::Share(0.5))).unwrap();
    assert_eq!(run(Runner::builder(&store, "p")), (6.0, State::Aborted));
    let own = Runner::builder(&store, "p").max_failed_items(FailureLimit::None);
    assert_eq!(run(own), (10.0, State::Incomplete), "what the runner says comes first");
    process.set_max_failed_items(None).unwrap();
    assert_eq!(run(Runner::builder(&store, "p")), (10.0, State::Incomplete));
}

#[test]
fn the_next_run_waits_as_long_as_the_settings_say() {
    let clock = ManualClock::new("2026-01-01T23:59:00Z".parse().unwrap());
    let store = Store::builder().clock(clock.clone()).in_memory();
    let process = process(&store);
    process.set_min_interval(Some(10 * MINUTE)).unwrap();
    let claim = |options: &ClaimOptions| process.claim_with(&Instance::new(), options).unwrap();
    let Claim::Won(run) = claim(&ClaimOptions::new()) else { panic!("not won") };
    run.finish().unwrap();
    clock.advance(MINUTE);
    assert!(matches!(claim(&ClaimOptions::new()), Claim::NotDue { .. }));
    let own = ClaimOptions::new().min_interval(MINUTE);
    let Claim::Won(run) = claim(&own) else { panic!("what the claim says comes first") };
    run.finish().unwrap();
    clock.advance(10 * MINUTE);
    assert!(matches!(claim(&ClaimOptions::new()), Claim::Won(_)));
}

#[test]
fn limits_are_separate_from_parameters_and_schedule() {
    let store = Store::in_memory();
    let process = process(&store);
    process.set_schedule_with_offset(60 * MINUTE, MINUTE).unwrap();
    process.set_max_failed_items(Some(FailureLimit::Share(0.07))).unwrap();
    process.set_min_interval(Some(MINUTE)).unwrap();
    process.set_params(Params::new().int("n", 1)).unwrap();
    process.set_schedule(Some(60 * MINUTE)).unwrap();
    let settings = process.settings().unwrap();
    assert_eq!(settings.params, Params::new().int("n", 1));
    assert_eq!(settings.max_failed_items, Some(FailureLimit::Share(0.07)));
    assert_eq!((settings.min_interval, settings.offset), (Some(MINUTE), None));

    let other = Store::in_memory();
    let copy = other.import(process.snapshot().unwrap(), ImportMode::New).unwrap();
    let copied = copy.settings().unwrap();
    assert_eq!(copied.max_failed_items, settings.max_failed_items);

    let change = |settings: &mut procstate::Settings| {
        (settings.max_failed_items, settings.min_interval) = (Some(FailureLimit::Items(3)), None);
    };
    process.change_settings(Precondition::None, change).unwrap();
    let settings = process.settings().unwrap();
    assert_eq!(settings.max_failed_items, Some(FailureLimit::Items(3)));
    assert_eq!((settings.min_interval, settings.schedule), (None, Some(60 * MINUTE)));
}

#[test]
fn invalid_limits_are_refused() {
    let store = Store::in_memory();
    let process = process(&store);
    let error = process.set_max_failed_items(Some(FailureLimit::Share(1.1))).unwrap_err();
    assert!(error.is_invalid(), "{error}");
    let error = process.set_params(Params::new().string("run.min_interval", "1s")).unwrap_err();
    assert!(error.to_string().contains("run.min_interval is a limit of runs"), "{error}");
    // As another program may write it.
    let mut copy = process.snapshot().unwrap();
    copy.settings = Some(Params::new().string("run.max_failed_items", "few"));
    let process = store.import(copy, ImportMode::Replace).unwrap();
    let error = process.claim(&Instance::new()).unwrap_err();
    assert!(error.to_string().contains("run.max_failed_items is \"few\""), "{error}");
}
