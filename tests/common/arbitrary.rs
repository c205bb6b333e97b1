//! Arbitrary processes within the schema.

use std::collections::BTreeMap;

use procstate::proto::{RunError, Status, Work};
use procstate::{Params, Process};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use prost_types::{Duration, Timestamp};

/// Stores the seeds of failures next to the test, in `regressions/`.
pub fn config() -> ProptestConfig {
    let persistence = FileFailurePersistence::WithSource("regressions");
    ProptestConfig { failure_persistence: Some(Box::new(persistence)), ..ProptestConfig::default() }
}

/// Names with slashes, NUL, and characters of any width.
fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c/]{1,3}", "[\\x00\\x01/\u{7f}é\u{10FFFF}]{1,4}", ".{1,12}"]
}

/// Times that JSON can represent.
fn timestamp() -> impl Strategy<Value = Timestamp> {
    let nanos = prop_oneof![Just(0), 0..1_000_000_000, (0..1000).prop_map(|ms| ms * 1_000_000)];
    (-62_135_596_800_i64..=253_402_300_799, nanos).prop_map(|(seconds, nanos)| Timestamp { seconds, nanos })
}

/// Periods that JSON can represent: up to 10,000 years either way.
fn duration() -> impl Strategy<Value = Duration> {
    (0..=315_576_000_000_i64, 0..1_000_000_000_i32, any::<bool>()).prop_map(|(seconds, nanos, negative)| {
        if negative { Duration { seconds: -seconds, nanos: -nanos } } else { Duration { seconds, nanos } }
    })
}

fn stats() -> impl Strategy<Value = BTreeMap<String, f64>> {
    let value = prop_oneof![
        any::<f64>(),
        Just(0.0),
        Just(-0.0),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(f64::MAX),
        Just(f64::MIN_POSITIVE),
    ];
    btree_map(name(), value.prop_map(|value| if value.is_nan() { f64::NAN } else { value }), 0..4)
}

fn params() -> impl Strategy<Value = Params> {
    (btree_map(".{0,5}", any::<i64>(), 0..3), btree_map(".{0,5}", ".{0,9}", 0..3))
        .prop_map(|(int_params, string_params)| Params { int_params, string_params })
}

fn status() -> impl Strategy<Value = Status> {
    let error = (option::of(timestamp()), ".{0,20}").prop_map(|(time, text)| RunError { time, text });
    (
        vec(option::of(timestamp()), 4),
        stats(),
        vec(error, 0..3),
        any::<i64>(),
        prop_oneof![0..6, any::<i32>()],
    )
        .prop_map(|(times, stats, errors, total_errors, state)| Status {
            start_time: times[0],
            progress_time: times[1],
            finish_time: times[2],
            last_error_time: times[3],
            stats,
            errors,
            total_errors,
            state,
        })
}

fn work() -> impl Strategy<Value = Work> {
    (option::of(timestamp()), option::of(params()), option::of(status()))
        .prop_map(|(modified, params, status)| Work { modified, params, status })
}

/// A process that a store accepts: it has a name, and no work is on two lists.
pub fn process() -> impl Strategy<Value = Process> {
    let lists = btree_map(name(), (0..3, work(), timestamp()), 0..8);
    let parts = (name(), ".{0,8}", option::of(duration()), lists, option::of(params()));
    (parts, option::of(timestamp()), option::of(status()), stats()).prop_map(
        |((process_name, instance, schedule_frequency, lists, settings), settings_time, status, totals)| {
            let mut process = Process {
                process_name,
                instance,
                schedule_frequency,
                settings,
                settings_time,
                process_status: status,
                aggregate_stats: totals,
                ..Process::default()
            };
            for (name, (list, work, time)) in lists {
                match list {
                    0 => drop(process.active_work.insert(name, work)),
                    1 => drop(process.cleanup_work.insert(name, time)),
                    _ => drop(process.dropped_work.insert(name, time)),
                }
            }
            process
        },
    )
}
