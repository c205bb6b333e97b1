//! Schedules through a store: cron expressions, offsets, and their storage.

use std::time::Duration;

use procstate::interchange::{Unknown, read_processes, to_json};
use procstate::{
    Claim, ClaimOptions, ImportMode, Instance, ManualClock, Outcome, Params, ProcessHandle, Runner, Store,
    Timestamp,
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn store(now: &str) -> (ManualClock, Store) {
    let clock = ManualClock::new(at(now));
    let store = Store::builder().clock(clock.clone()).in_memory();
    (clock, store)
}

/// Returns when runs begin if they are polled every ten minutes.
fn starts(process: &ProcessHandle, clock: &ManualClock, until: &str) -> Vec<String> {
    use procstate::Clock;
    let mut starts = Vec::new();
    while clock.now() <= at(until) {
        let outcome =
            Runner::builder(process.store(), process.name()).worker_fn(|_| Ok(())).run_once().unwrap();
        if let Outcome::Finished(_) = outcome {
            starts.push(clock.now().to_string());
        }
        clock.advance(10 * MINUTE);
    }
    starts
}

fn nightly(now: &str) -> (ManualClock, ProcessHandle) {
    let (clock, store) = store(now);
    let process = store.process("p").unwrap();
    process.register("w", Params::new()).unwrap();
    process.set_cron("30 2 * * *", "Europe/Berlin").unwrap();
    (clock, process)
}

#[test]
fn a_night_without_half_past_two_has_one_run() {
    let (clock, process) = nightly("2026-03-28T12:00:00Z");
    assert_eq!(
        starts(&process, &clock, "2026-03-30T12:00:00Z"),
        ["2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"]
    );
}

#[test]
fn a_night_with_half_past_two_twice_has_one_run() {
    let (clock, process) = nightly("2026-10-24T12:00:00Z");
    assert_eq!(
        starts(&process, &clock, "2026-10-26T12:00:00Z"),
        ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
    );
}

#[test]
fn one_run_makes_up_for_missed_nights() {
    let (clock, process) = nightly("2026-01-01T12:00:00Z");
    clock.advance(4 * 24 * HOUR);
    assert_eq!(starts(&process, &clock, "2026-01-05T18:00:00Z"), ["2026-01-05T12:00:00Z"]);
    process.register("x", Params::new()).unwrap();
    assert_eq!(starts(&process, &clock, "2026-01-06T06:00:00Z"), ["2026-01-06T01:30:00Z"]);
}

#[test]
fn a_schedule_survives_export_and_import() {
    let (clock, process) = nightly("2026-01-01T12:00:00Z");
    assert_eq!(starts(&process, &clock, "2026-01-02T12:00:00Z").len(), 1);
    process.set_params(Params::new().int("n", 1)).unwrap();
    let text = to_json(&process.snapshot().unwrap()).unwrap();
    assert!(text.contains(r#""schedule.cron":"30 2 * * * Europe/Berlin""#), "{text}");
    assert!(text.contains(r#""scheduleFrequency":"86400s""#), "{text}");
    let (_, other) = store("2026-01-02T13:00:00Z");
    let read = read_processes("p.json", text.as_bytes(), Unknown::Reject).unwrap().remove(0);
    let copy = other.import(read, ImportMode::New).unwrap();
    assert_eq!(to_json(&copy.snapshot().unwrap()).unwrap(), text);
    let settings = copy.settings().unwrap();
    assert_eq!(settings.cron.as_deref(), Some("30 2 * * * Europe/Berlin"));
    assert_eq!(settings.params, Params::new().int("n", 1));
    let claim = copy.claim(&Instance::new()).unwrap();
    assert!(matches!(claim, Claim::NotDue { at: next } if next == at("2026-01-03T01:30:00Z")), "{claim:?}");
}

#[test]
fn workers_do_not_see_the_schedule_among_the_settings() {
    let (_, process) = nightly("2026-01-01T12:00:00Z");
    process
        .update_params(|params| drop(params.string_params.insert("a".to_owned(), "b".to_owned())))
        .unwrap();
    let outcome = Runner::builder(process.store(), "p").worker_fn(|_| Ok(())).run_once().unwrap();
    assert!(matches!(outcome, Outcome::NotDue { .. }));
    let forced = ClaimOptions::new().force(true);
    let Claim::Won(run) = process.claim_with(&Instance::new(), &forced).unwrap() else {
        panic!("it is forced")
    };
    assert_eq!(run.settings(), Params::new().string("a", "b"));
}

#[test]
fn an_offset_moves_the_slots() {
    let (clock, store) = store("2026-01-01T12:00:00Z");
    store.process("p").unwrap().register("w", Params::new()).unwrap();
    let runner = Runner::builder(&store, "p").every(24 * HOUR).offset(2 * HOUR).worker_fn(|_| Ok(()));
    assert!(matches!(runner.run_once().unwrap(), Outcome::Finished(_)));
    let process = store.process("p").unwrap();
    assert_eq!(process.settings().unwrap().offset, Some(2 * HOUR));
    assert_eq!(
        starts(&process, &clock, "2026-01-03T12:00:00Z"),
        ["2026-01-02T02:00:00Z", "2026-01-03T02:00:00Z"]
    );
    process.set_schedule(Some(24 * HOUR)).unwrap();
    assert_eq!(process.settings().unwrap().offset, None);
}

#[test]
fn a_schedule_is_replaced_as_a_whole() {
    let (clock, process) = nightly("2026-01-01T12:00:00Z");
    let before = process.settings().unwrap();
    clock.advance(100 * 24 * HOUR);
    process.set_cron("30 2 * * *", "Europe/Berlin").unwrap();
    assert_eq!(process.settings().unwrap(), before, "nothing changed");
    process.set_schedule(Some(HOUR)).unwrap();
    let settings = process.settings().unwrap();
    assert_eq!((settings.schedule, settings.cron), (Some(HOUR), None));
    process.set_schedule(None).unwrap();
    assert_eq!(process.settings().unwrap().schedule, None);
}

#[test]
fn a_broken_imported_schedule_is_reported_and_replaceable() {
    let (_, store) = store("2026-01-01T12:00:00Z");
    let text = r#"{"processName": "p", "settings": {"stringParams": {"schedule.cron": "at night"}}}"#;
    let read = read_processes("p.json", text.as_bytes(), Unknown::Reject).unwrap().remove(0);
    let process = store.import(read, ImportMode::New).unwrap();
    let error = process.claim(&Instance::new()).unwrap_err().to_string();
    assert!(error.starts_with(r#"the schedule of process "p" cannot be used: "at night" is not"#), "{error}");
    assert_eq!(process.summary().unwrap().next_due, Timestamp::MAX);
    process.set_schedule(None).unwrap();
    assert!(matches!(process.claim(&Instance::new()).unwrap(), Claim::Won(_)));
}

#[test]
fn invalid_schedules_are_refused() {
    let (_, store) = store("2026-01-01T12:00:00Z");
    let process = store.process("p").unwrap();
    for (expression, zone) in
        [("61 * * * *", "UTC"), ("* * * *", "UTC"), ("0 0 30 2 *", "UTC"), ("0 0 * * *", "Mars")]
    {
        assert!(process.set_cron(expression, zone).unwrap_err().is_invalid(), "{expression}");
    }
    assert!(process.set_schedule_with_offset(HOUR, HOUR).unwrap_err().is_invalid());
    let both = Runner::builder(&store, "p").every(HOUR).cron("0 0 * * *", "UTC").worker_fn(|_| Ok(()));
    assert!(both.build().unwrap_err().is_invalid());
    let alone = Runner::builder(&store, "p").offset(MINUTE).worker_fn(|_| Ok(()));
    assert!(alone.build().unwrap_err().is_invalid());
    assert!(!process.exists().unwrap());
}
