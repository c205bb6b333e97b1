//! Reads arbitrary bytes as process state.

use crate::interchange::{Unknown, read_processes, to_json, write_delimited};
use crate::proto::{Encode, Process};
use crate::store::{ImportMode, Store};

/// Imports `bytes` as JSON or binary.
///
/// Accepted input must leave a store unchanged in both formats.
pub fn interchange(bytes: &[u8]) {
    let strict = read(bytes, Unknown::Reject);
    let lenient = read(bytes, Unknown::Ignore);
    if let Some(processes) = &strict {
        // Only unknown fields may be skipped.
        assert_eq!(lenient.as_deref().map(encoded), Some(encoded(processes)));
    }
    for process in lenient.into_iter().flatten() {
        check_json(&process);
        // Without a name it is indistinguishable from other bytes, and no store accepts it.
        if !process.process_name.is_empty() {
            check_binary(&process);
            check_store(process);
        }
    }
}

fn read(bytes: &[u8], unknown: Unknown) -> Option<Vec<Process>> {
    read_processes("input", bytes, unknown).ok()
}

/// Encodes processes for comparison, since NaN is not equal to itself.
fn encoded(processes: &[Process]) -> Vec<u8> {
    let mut bytes = Vec::new();
    processes.iter().for_each(|process| write_delimited(process, &mut bytes));
    bytes
}

fn check_binary(process: &Process) {
    let stream = encoded(std::slice::from_ref(process));
    let again = read(&stream, Unknown::Reject).map(|again| encoded(&again));
    assert_eq!(again, Some(stream));
}

fn check_json(process: &Process) {
    let Ok(text) = to_json(process) else { return };
    let again = read(text.as_bytes(), Unknown::Reject).unwrap();
    assert_eq!(again.len(), 1);
    // Binary has many NaNs, JSON has one.
    assert_eq!(to_json(&again[0]).unwrap(), text);
}

fn check_store(process: Process) {
    let expected = process.encode_exactly();
    let store = Store::in_memory();
    if let Ok(handle) = store.import(process.clone(), ImportMode::New) {
        assert_eq!(handle.snapshot().unwrap().encode_exactly(), expected);
        store.import(process, ImportMode::Merge).unwrap();
        assert_eq!(handle.snapshot().unwrap().encode_exactly(), expected, "merged into itself");
    }
}
