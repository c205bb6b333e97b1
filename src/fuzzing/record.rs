//! Reads arbitrary bytes as a record.

use bytes::Bytes;

use crate::record::{self, Address, Key, Slot};
use crate::recovery::open_record;

/// Splits `bytes` into a key and a possible value, and reads both.
pub fn record(bytes: &[u8]) {
    let Some((&length, rest)) = bytes.split_first() else { return };
    let (key, value) = rest.split_at(usize::from(length).min(rest.len()));
    let Some(key) = Key::from_bytes(Bytes::copy_from_slice(key)) else { return };
    check_key(&key, &Bytes::copy_from_slice(&rest[..key.bytes().len()]));
    check_envelope(&key, &Bytes::copy_from_slice(value));
    check_payload(&key, value);
}

/// A key that parses names one record, and is the only key of it.
fn check_key(key: &Key, bytes: &Bytes) {
    assert_eq!(key.bytes(), bytes);
    assert!(!key.describe().is_empty());
    if let Some(address) = key.address() {
        assert_eq!(&key_of(&address), key);
    }
}

fn key_of(Address { process, slot }: &Address) -> Key {
    match slot {
        Slot::Owner => Key::owner(process),
        Slot::Settings => Key::settings(process),
        Slot::Status => Key::status(process),
        Slot::Totals => Key::totals(process),
        Slot::Item(list, work) => Key::item(process, *list, work),
        Slot::History { seconds, nanos, run } => Key::history(process, *seconds, *nanos, *run),
    }
}

/// An accepted value is what would be written.
fn check_envelope(key: &Key, value: &Bytes) {
    if let Ok((version, payload)) = record::open(key, value.clone()) {
        assert_eq!(record::seal(key, version, &payload), value);
    }
}

/// A sealed payload opens, and its message decodes or is refused.
fn check_payload(key: &Key, payload: &[u8]) {
    let sealed = record::seal(key, 7, payload);
    let (version, opened) = record::open(key, sealed.clone()).unwrap();
    assert_eq!((version, opened.as_ref()), (7, payload));
    if let Ok(read) = open_record(key.bytes(), &sealed) {
        assert_eq!((&read.key, read.version, read.payload.as_ref()), (key, 7, payload));
    }
}
