//! Process state as JSON and binary, and through a store.

#[path = "common/arbitrary.rs"]
#[allow(unreachable_pub)]
mod arbitrary;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use procstate::interchange::{Unknown, read_processes, to_json, write_delimited};
use procstate::proto::{Status, Work};
use procstate::{ImportMode, Process, Store};
use proptest::prelude::*;
use prost::Message;

fn read(input: impl AsRef<[u8]>) -> procstate::Result<Vec<Process>> {
    read_processes("in", input.as_ref(), Unknown::Reject)
}

fn read_one(input: impl AsRef<[u8]>) -> Process {
    let mut processes = read(input).unwrap();
    assert_eq!(processes.len(), 1);
    processes.remove(0)
}

/// Encodes for comparison, since NaN is not equal to itself.
fn bytes(process: &Process) -> Vec<u8> {
    process.encode_to_vec()
}

/// Encodes with the sign of each zero, which prost drops.
fn exact(process: &Process) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_delimited(process, &mut bytes);
    bytes
}

fn fixture(name: &str) -> PathBuf {
    Path::new("tests/fixtures/interchange").join(name)
}

/// Checks that neither side lost anything, and what only one side has is unchanged.
fn is_merged(ours: &Process, theirs: &Process, merged: &Process) {
    assert_eq!(merged.instance, ours.instance);
    assert_eq!((&merged.settings, merged.schedule_frequency), (&ours.settings, ours.schedule_frequency));
    let names = |process: &Process| -> BTreeSet<String> {
        let left = process.cleanup_work.keys().chain(process.dropped_work.keys());
        process.active_work.keys().chain(left).cloned().collect()
    };
    assert_eq!(names(merged), &names(ours) | &names(theirs));
    for (one, other) in [(ours, theirs), (theirs, ours)] {
        let others = names(other);
        let alone = |name: &&String| !others.contains(*name);
        for name in one.active_work.keys().filter(alone) {
            assert_eq!(merged.active_work[name].encode_to_vec(), one.active_work[name].encode_to_vec());
        }
        for name in one.cleanup_work.keys().filter(alone) {
            assert_eq!(merged.cleanup_work[name], one.cleanup_work[name]);
        }
        for name in one.dropped_work.keys().filter(alone) {
            assert_eq!(merged.dropped_work[name], one.dropped_work[name]);
        }
    }
}

proptest! {
    #![proptest_config(arbitrary::config())]

    #[test]
    fn json_out_and_in_is_equal(process in arbitrary::process()) {
        let text = to_json(&process).unwrap();
        prop_assert_eq!(&text, &to_json(&process.clone()).unwrap(), "not deterministic");
        prop_assert_eq!(exact(&read_one(&text)), exact(&process), "{}", text);
    }

    /// Plain JSON is read directly into messages, other JSON through the schema.
    #[test]
    fn both_json_readers_agree(process in arbitrary::process(), at in any::<prop::sample::Index>(), put in "[ -~]{0,3}") {
        let text = to_json(&process).unwrap();
        let mut damaged = text.clone().into_bytes();
        let at = at.index(damaged.len());
        damaged.splice(at..(at + put.len()).min(text.len()), put.bytes());
        for text in [text.as_bytes(), &damaged] {
            // An unknown field makes it not plain.
            let Ok(processes) = read(text) else { continue };
            let other = [br#"{"notPlain":0,"#, text.strip_prefix(b"{").unwrap()].concat();
            let other = if text == b"{}" { br#"{"notPlain":0}"#.to_vec() } else { other };
            let again = read_processes("in", &other, Unknown::Ignore).unwrap();
            prop_assert_eq!(
                processes.iter().map(bytes).collect::<Vec<_>>(),
                again.iter().map(bytes).collect::<Vec<_>>(),
                "{}", String::from_utf8_lossy(text)
            );
        }
    }

    #[test]
    fn binary_out_and_in_is_equal(processes in proptest::collection::vec(arbitrary::process(), 1..4)) {
        let mut stream = Vec::new();
        for process in &processes {
            write_delimited(process, &mut stream);
        }
        let again: Vec<_> = read(&stream).unwrap().iter().map(exact).collect();
        prop_assert_eq!(again, processes.iter().map(exact).collect::<Vec<_>>());
        let first = &processes[0];
        prop_assert_eq!(bytes(&read_one(bytes(first))), bytes(first));
    }

    #[test]
    fn through_a_store_is_equal(process in arbitrary::process()) {
        let store = Store::in_memory();
        let handle = store.import(process.clone(), ImportMode::New).unwrap();
        prop_assert_eq!(exact(&handle.snapshot().unwrap()), exact(&process));
        // Its replacement removes all of it.
        let other = Process { process_name: process.process_name.clone(), ..Process::default() };
        store.import(other.clone(), ImportMode::Replace).unwrap();
        prop_assert_eq!(handle.snapshot().unwrap(), other);
    }

    #[test]
    fn merging_is_importing_and_idempotent(
        ours in arbitrary::process(), theirs in arbitrary::process()
    ) {
        let (store, both) = (Store::in_memory(), Store::in_memory());
        let alone = store.import(theirs.clone(), ImportMode::Merge).unwrap();
        prop_assert_eq!(exact(&alone.snapshot().unwrap()), exact(&theirs));
        store.import(theirs.clone(), ImportMode::Merge).unwrap();
        prop_assert_eq!(exact(&alone.snapshot().unwrap()), exact(&theirs));
        let theirs = Process { process_name: ours.process_name.clone(), ..theirs };
        let merged = both.import(ours.clone(), ImportMode::New).unwrap();
        both.import(theirs.clone(), ImportMode::Merge).unwrap();
        let (once, past) = (merged.snapshot().unwrap(), merged.history().unwrap());
        both.import(theirs.clone(), ImportMode::Merge).unwrap();
        prop_assert_eq!(exact(&merged.snapshot().unwrap()), exact(&once));
        prop_assert_eq!(merged.history().unwrap().len(), past.len());
        is_merged(&ours, &theirs, &once);
    }

    #[test]
    fn arbitrary_bytes_are_an_error_or_a_process(input in proptest::collection::vec(any::<u8>(), 0..60)) {
        let _ = read(&input);
    }

    #[test]
    fn damaged_input_is_an_error_or_a_process(
        process in arbitrary::process(), at in any::<prop::sample::Index>(), byte: u8, cut in any::<bool>()
    ) {
        for mut input in [to_json(&process).unwrap().into_bytes(), bytes(&process)] {
            let at = at.index(input.len());
            if cut { input.truncate(at) } else { input[at] = byte }
            let _ = read(&input);
        }
    }
}

#[test]
fn the_sign_of_zero_is_kept_in_and_out() {
    let stats = || [("minus".to_owned(), -0.0), ("plus".to_owned(), 0.0)].into();
    let status = Status { stats: stats(), ..Status::default() };
    let work = Work { status: Some(status.clone()), ..Work::default() };
    let process = Process {
        process_name: "p".to_owned(),
        active_work: [("w".to_owned(), work)].into(),
        process_status: Some(status),
        aggregate_stats: stats(),
        ..Process::default()
    };
    // Unlike `==`, the debug text distinguishes them.
    let text = |process: &Process| format!("{process:?}");
    assert_eq!(text(&process).matches("-0.0").count(), 3);
    let json = to_json(&process).unwrap();
    assert_eq!(json.matches(r#""minus":-0.0,"plus":0.0"#).count(), 3, "{json}");
    assert_eq!(text(&read_one(json)), text(&process));
    let quoted = read_one(r#"{"processName": "p", "aggregateStats": {"a": -0, "b": "-0", "c": "-0.0"}}"#);
    assert!(quoted.aggregate_stats.values().all(|value| value.is_sign_negative()), "{quoted:?}");
    let mut stream = Vec::new();
    write_delimited(&process, &mut stream);
    write_delimited(&process, &mut stream);
    for again in read(&stream).unwrap() {
        assert_eq!(text(&again), text(&process));
    }
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let handle = store.import(process.clone(), ImportMode::New).unwrap();
    assert_eq!(text(&handle.snapshot().unwrap()), text(&process));
    store.close().unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(text(&store.process("p").unwrap().snapshot().unwrap()), text(&process));
}

#[test]
fn times_that_would_be_cut_are_refused() {
    for (member, expected) in [
        (
            r#""settingsTime": "2026-06-30T23:59:60Z""#,
            "in settingsTime: \"2026-06-30T23:59:60Z\" is a leap second, which a timestamp cannot represent; give the second before or after it",
        ),
        (
            r#""cleanupWork": {"w": "2026-07-01T01:59:60.5+02:00"}"#,
            "in cleanupWork.w: \"2026-07-01T01:59:60.5+02:00\" is a leap second, which a timestamp cannot represent; give the second before or after it",
        ),
        (
            r#""active_work": {"w": {"status": {"errors": [{"time": "2026-01-01T00:00:00.1234567890Z"}]}}}"#,
            "in active_work.w.status.errors[0].time: \"2026-01-01T00:00:00.1234567890Z\" has more than nine fractional digits; give nanoseconds at most",
        ),
        (
            r#""scheduleFrequency": "1.0000000000s""#,
            "in scheduleFrequency: \"1.0000000000s\" has more than nine fractional digits; give nanoseconds at most",
        ),
    ] {
        let text = message(format!(r#"[{{"processName": "p", {member}}}]"#));
        assert_eq!(text.split_once(": ").unwrap().1, expected.replacen("in ", "in [0].", 1), "{text}");
    }
    let fine = read_one(
        r#"{"processName": "x:y:60.1234567890", "settings": {"stringParams": {"t": "23:59:60.1234567890Z"}},
            "settingsTime": "2026-06-30T23:59:59.123456789Z", "scheduleFrequency": "1.123456789s"}"#,
    );
    assert_eq!(fine.settings_time.unwrap().nanos, 123_456_789);
}

/// Google's Python protobuf wrote the fixtures (see the folder's README).
#[test]
fn reads_what_python_wrote_and_writes_what_python_reads() {
    let json = std::fs::read(fixture("full.json")).unwrap();
    let binary = std::fs::read(fixture("full.binpb")).unwrap();
    let process = read_one(&json);
    assert_eq!(bytes(&process), bytes(&read_one(&binary)));
    assert_eq!(process.active_work.len(), 3);
    assert!(process.aggregate_stats["nan"].is_nan());
    assert_eq!(process.schedule_frequency.unwrap().nanos, -500_000_000);
    let expected: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let written: serde_json::Value = serde_json::from_str(&to_json(&process).unwrap()).unwrap();
    assert_eq!(written, expected);
    let many = std::fs::read(fixture("many.binpb")).unwrap();
    let names: Vec<_> = read(&many).unwrap().into_iter().map(|process| process.process_name).collect();
    assert_eq!(names, ["one", "two", "three"]);
}

#[test]
fn accepts_what_canonical_parsers_accept() {
    let process = read_one(
        r#"{
            "process_name": "p", "scheduleFrequency": "1.5s", "settingsTime": "2026-01-01T02:00:00.25+02:00",
            "instance": null, "activeWork": {"w": {
                "modified": null, "params": {"intParams": {"a": "9007199254740993", "b": 3, "c": -4}},
                "status": {"stats": {"accounts": "20", "x": "NaN", "y": "-Infinity", "z": 1e3},
                           "state": 5, "totalErrors": "7", "errors": []}}},
            "cleanupWork": null
        }"#,
    );
    let work = &process.active_work["w"];
    let (params, status) = (work.params.as_ref().unwrap(), work.status.as_ref().unwrap());
    assert_eq!(params.int_params["a"], 9_007_199_254_740_993);
    assert_eq!((params.int_params["b"], params.int_params["c"]), (3, -4));
    assert_eq!(status.stats["accounts"], 20.0);
    assert!(status.stats["x"].is_nan());
    assert_eq!((status.stats["y"], status.stats["z"]), (f64::NEG_INFINITY, 1000.0));
    assert_eq!((status.state, status.total_errors), (5, 7));
    let time = process.settings_time.unwrap();
    assert_eq!((time.seconds, time.nanos), (1_767_225_600, 250_000_000));
}

#[test]
fn reads_many_objects_however_they_are_laid_out() {
    let text = "\u{feff}{\"processName\":\"a\"}\n{\"processName\":\n\"b\"} {\"processName\":\"c\"}\n\n";
    let names: Vec<_> = read(text).unwrap().into_iter().map(|process| process.process_name).collect();
    assert_eq!(names, ["a", "b", "c"]);
}

/// A length of 123 is `{`, and the following tag is white space.
#[test]
fn reads_arrays() {
    let names = |text: &str| -> Vec<String> {
        read(text).unwrap().into_iter().map(|process| process.process_name).collect()
    };
    assert_eq!(names(r#"[{"processName": "a"}, {"processName": "b"}]"#), ["a", "b"]);
    let mixed =
        "\u{feff} [ {\"processName\": \"a\"} ]\n{\"processName\": \"b\"} [] [{\"processName\": \"c\"}]";
    assert_eq!(names(mixed), ["a", "b", "c"]);
    assert!(names("[]").is_empty());
    let value = r#"[{"processName": "a", "settings": {"intParams": {"n": "7"}}}]"#;
    assert_eq!(read_one(value).settings.unwrap().int_params["n"], 7);
    for (text, expected) in [
        (
            "[{\"processName\": \"a\"},\n {\"processName\": \"b\", \"color\": 1}]",
            "in, line 2, column 29: in [1]: unrecognized field name 'color'",
        ),
        ("[[]]", "in, line 1, column 1: in [0]: invalid type: sequence, expected a map"),
        ("[1]", "in, line 1, column 2: in [0]: invalid type: integer `1`, expected a map"),
        (
            r#"[{"processName": "a"}"#,
            "in, line 1, column 21: the text ends prematurely (EOF while parsing a list)",
        ),
        (
            r#"[{"processName": "a", "processName": "b"}]"#,
            "in, line 1, column 35: in [0]: \"processName\" occurs twice in one object",
        ),
    ] {
        assert_eq!(message(text), expected, "{text}");
    }
}

#[test]
fn binary_that_begins_like_json_is_binary() {
    for length in [0x7B, 0x5B, 0x20] {
        let name = "n".repeat(length - 2);
        let mut stream = Vec::new();
        write_delimited(&Process { process_name: name.clone(), ..Process::default() }, &mut stream);
        assert_eq!(usize::from(stream[0]), length);
        assert_eq!(read_one(&stream).process_name, name);
    }
    let bare = Process { process_name: "{...".to_owned(), ..Process::default() };
    assert_eq!(read_one(bytes(&bare)), bare);
}

#[test]
fn a_hundred_thousand_items_go_out_and_in() {
    let work = Work { status: Some(Status { state: 1, ..Status::default() }), ..Work::default() };
    let process = Process {
        process_name: "big".to_owned(),
        active_work: (0..100_000).map(|n| (format!("item-{n}"), work.clone())).collect(),
        ..Process::default()
    };
    let again = read_one(to_json(&process).unwrap());
    assert!(again == process);
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let handle = store.import(again, ImportMode::New).unwrap();
    assert!(handle.snapshot().unwrap() == process);
    store.close().unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert!(store.process("big").unwrap().snapshot().unwrap() == process);
}

fn message(input: impl AsRef<[u8]>) -> String {
    let error = read(input).unwrap_err();
    assert!(error.is_invalid());
    error.to_string()
}

#[test]
fn every_mistake_is_named_with_its_place() {
    let cases: [(&str, &str); 8] = [
        ("", "in: it is empty"),
        (
            "{\"processName\": \"p\"",
            "in, line 1, column 19: the text ends prematurely (EOF while parsing an object)",
        ),
        (
            "{\"processName\": \"p\"}\n{\"processName\": 5}",
            "in, line 2, column 17: in processName: invalid type: integer `5`, expected a string",
        ),
        ("{\"processNaem\": \"p\"}", "in, line 1, column 14: unrecognized field name 'processNaem'"),
        (
            "{\"activeWork\": {\"a/b\": {\"status\": {\"startTime\": \"yesterday\"}}}}",
            "in, line 1, column 59: in activeWork.a/b.status.startTime: invalid rfc3339 timestamp: invalid date",
        ),
        (
            "{\"activeWork\": {\"w\": {\"status\": {\"state\": \"DONE\"}}}}",
            "in, line 1, column 48: in activeWork.w.status.state: unrecognized enum value 'DONE'",
        ),
        (
            "{\"settings\": {\"intParams\": {\"n\": \"1.5\"}}}",
            "in, line 1, column 38: in settings.intParams.n: invalid digit found in string",
        ),
        ("[1]", "in, line 1, column 2: in [0]: invalid type: integer `1`, expected a map"),
    ];
    for (input, expected) in cases {
        let text = message(input);
        assert_eq!(text, expected, "{input}");
    }
}

#[test]
fn broken_binary_is_named_with_its_place() {
    let process = |name: &str| Process { process_name: name.to_owned(), ..Process::default() };
    let mut stream = Vec::new();
    write_delimited(&process("one"), &mut stream);
    let second = stream.len();
    write_delimited(&process("two"), &mut stream);
    let text = message(&stream[..stream.len() - 1]);
    assert_eq!(
        text,
        format!("in, message 2, byte {second}: the message is truncated: the input ends before it does")
    );
    let bare = bytes(&process("name"));
    assert_eq!(
        message(&bare[..bare.len() - 1]),
        "in, message 1, byte 2: Process.process_name: the message is truncated: the input ends before it does"
    );
    assert_eq!(
        message(b"hello world"),
        "in, message 1, byte 3: this is neither JSON nor a Process message: unexpected end group tag"
    );
}

#[test]
fn unknown_fields_are_an_error_or_left_out() {
    let mut binary = bytes(&Process { process_name: "p".to_owned(), ..Process::default() });
    let work = [&[0x22, 0x08, 0x0A, 0x01, b'w', 0x12, 0x03, 0x98, 0x06, 0x01][..]].concat();
    binary.extend_from_slice(&work);
    assert_eq!(
        message(&binary),
        "in, message 1, byte 0: unknown field number 99 of process.Process.Work, in \"w\", in activeWork; to skip unknown fields, ask for them to be ignored"
    );
    let read = read_processes("in", &binary, Unknown::Ignore).unwrap();
    assert_eq!(read[0].active_work["w"], Work::default());
    let json = "{\"processName\": \"p\", \"colour\": {\"deep\": [1]}}";
    assert!(message(json).contains("colour"));
    assert_eq!(read_processes("in", json.as_bytes(), Unknown::Ignore).unwrap()[0].process_name, "p");
}

#[test]
fn times_without_a_json_form_are_errors() {
    let time = |seconds, nanos| Some(prost_types::Timestamp { seconds, nanos });
    let period = |seconds, nanos| Some(prost_types::Duration { seconds, nanos });
    let of_time = |settings_time| Process { settings_time, ..Process::default() };
    let of_period = |schedule_frequency| Process { schedule_frequency, ..Process::default() };
    let cases = [
        of_time(time(i64::MAX, 0)),
        of_time(time(253_402_300_800, 0)),
        of_time(time(0, -1)),
        of_time(time(0, 1_000_000_000)),
        of_period(period(1, -1)),
        of_period(period(-1, 1)),
        of_period(period(0, i32::MIN)),
        of_period(period(i64::MIN, 0)),
    ];
    for process in cases {
        assert!(to_json(&process).unwrap_err().is_invalid(), "{process:?}");
        assert_eq!(
            read_one(bytes(&Process { process_name: "p".to_owned(), ..process.clone() })).settings_time,
            process.settings_time
        );
    }
    let mut process = Process::default();
    process.active_work.insert("a/b".to_owned(), Work { modified: time(0, -5), ..Work::default() });
    assert_eq!(
        to_json(&process).unwrap_err().to_string(),
        "invalid argument: process.Process cannot be written as JSON, in activeWork[\"a/b\"].modified: a time that JSON cannot represent; write it as binary"
    );
}

#[test]
fn duplicate_names_are_errors() {
    let text = "{\"processName\": \"p\", \"activeWork\": {\"w\": {}, \"v\": {}, \"w\": {}}}";
    assert_eq!(message(text), "in, line 1, column 57: in activeWork: \"w\" occurs twice in one object");
    assert!(message("{\"processName\": \"p\", \"processName\": \"q\"}").contains("occurs twice"));
    // Two processes of an input may repeat names.
    assert_eq!(read("{\"processName\": \"p\"} {\"processName\": \"p\"}").unwrap().len(), 2);
}

#[test]
fn deep_nesting_is_bounded() {
    assert!(read("{\"a\":".repeat(100_000)).is_err());
    assert!(read_processes("in", "{\"a\":".repeat(100_000).as_bytes(), Unknown::Ignore).is_err());
}

/// The exceptions in the documentation of `read_processes`.
#[test]
fn redundant_input_is_accepted() {
    let process = read_one(r#"{"processName": "p", "aggregateStats": {"x": "1e999"}}"#);
    assert_eq!(process.aggregate_stats["x"], f64::INFINITY);
    let mut twice =
        bytes(&Process { process_name: "p".to_owned(), instance: "a".to_owned(), ..Process::default() });
    twice.extend_from_slice(&bytes(&Process { instance: "b".to_owned(), ..Process::default() }));
    assert_eq!(read_one(&twice).instance, "b");
}
