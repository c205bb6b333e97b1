//! Records as an index answers them.

use bytes::Bytes;

use crate::error::{Failure, Result};
use crate::record::{self, Damage, Key, Record};

/// Opens the value that was found under `key`.
pub(super) fn open_value(key: &Key, value: &Bytes) -> Result<Record> {
    let (version, payload) = record::open(key, value).map_err(|damage: Damage| Failure::Corrupt {
        place: key.describe(),
        why: format!(
            "{damage}. Other records can still be read; closing the store and opening it again checks all of them, and rebuilds the index from snapshot and log"
        ),
    })?;
    Ok(Record { key: key.clone(), version, payload })
}

/// Opens an entry that a scan came upon.
pub(super) fn open_entry(key: Bytes, value: &Bytes) -> Result<Record> {
    let key = Key::from_bytes(key).ok_or_else(|| Failure::Corrupt {
        place: "the index".to_owned(),
        why: "it holds a record under a key that does not parse".to_owned(),
    })?;
    open_value(&key, value)
}
