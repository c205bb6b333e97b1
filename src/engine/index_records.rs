//! Reads records from index values.

use bytes::Bytes;

use crate::error::{Failure, Result};
use crate::record::{self, Damage, Key, KeyRef, Record, RecordRef};

/// Returns the version of the value under `key`.
pub(super) fn open_version(key: &Key, value: &[u8]) -> Result<u64> {
    let opened = record::open_ref(key.borrow(), value);
    opened.map(|(version, _)| version).map_err(|damage| corrupt(key.borrow(), damage).into())
}

/// Opens the value under `key`.
pub(super) fn open_value(key: &Key, value: Bytes) -> Result<Record> {
    let (version, payload) = record::open(key, value).map_err(|damage| corrupt(key.borrow(), damage))?;
    Ok(Record { key: key.clone(), version, payload })
}

/// Opens an entry found by a scan.
pub(super) fn open_entry<'a>(key: &'a [u8], value: &'a [u8]) -> Result<RecordRef<'a>> {
    let key = KeyRef::parse(key).ok_or_else(|| Failure::Corrupt {
        place: "the index".to_owned(),
        why: "it holds a record under a key that does not parse".to_owned(),
    })?;
    let (version, payload) = record::open_ref(key, value).map_err(|damage| corrupt(key, damage))?;
    Ok(RecordRef { key, version, payload })
}

fn corrupt(key: KeyRef<'_>, damage: Damage) -> Failure {
    Failure::Corrupt {
        place: key.describe(),
        why: format!(
            "{damage}. Other records can still be read; reopening the store checks all of them, and rebuilds the index from snapshot and log"
        ),
    }
}
