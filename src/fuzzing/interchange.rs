//! Any bytes as the state of processes from elsewhere.

use crate::interchange::{Unknown, read_processes, to_json, write_delimited};
use crate::proto::{Encode, Process};
use crate::store::{ImportMode, Store};

/// Imports `bytes`, JSON or binary: what is accepted comes out of a store, of JSON
/// and of binary as it went in.
pub fn interchange(bytes: &[u8]) {
    let strict = read(bytes, Unknown::Reject);
    let lenient = read(bytes, Unknown::Ignore);
    if let Some(processes) = &strict {
        // Unknown fields are all that may be ignored.
        assert_eq!(lenient.as_deref().map(encoded), Some(encoded(processes)));
    }
    for process in lenient.into_iter().flatten() {
        check_json(&process);
        // Without a name it is not told from other bytes, and no store takes it.
        if !process.process_name.is_empty() {
            check_binary(&process);
            check_store(process);
        }
    }
}

fn read(bytes: &[u8], unknown: Unknown) -> Option<Vec<Process>> {
    read_processes("input", bytes, unknown).ok()
}

/// NaN is not equal to itself, its bytes are.
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
    // There are many NaNs in binary, and one in JSON.
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
