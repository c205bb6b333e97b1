//! Whether a record is sound: its key, its envelope, its message.

use bytes::Bytes;
use prost_types::Timestamp;

use crate::error::chain;
use crate::proto::record::{History, Item, Owner, RunStatus, Settings, Totals};
use crate::record::{self, Key, Kind, Payload, Record};

/// The record with this key and value, or what is wrong with it.
pub(crate) fn open_record(key: &Bytes, value: &Bytes) -> Result<Record, String> {
    let Some(key) = Key::from_bytes(key.clone()) else {
        return Err(format!("no record has a key like {:02x?}", key.as_ref()));
    };
    let (version, payload) =
        record::open(&key, value).map_err(|damage| format!("{}: {damage}", key.describe()))?;
    let record = Record { key, version, payload };
    decode(&record)?;
    Ok(record)
}

/// Decodes the message of a record; fails with what is wrong with it.
pub(super) fn decode(record: &Record) -> Result<(), String> {
    fn is<P: Payload>(record: &Record) -> crate::Result<()> {
        P::from_record(record).map(drop)
    }
    let decoded = match record.key.kind() {
        Kind::Owner => is::<Owner>(record),
        Kind::Settings => is::<Settings>(record),
        Kind::Status => is::<RunStatus>(record),
        Kind::Totals => is::<Totals>(record),
        Kind::Active => is::<Item>(record),
        Kind::Cleanup | Kind::Dropped => is::<Timestamp>(record),
        Kind::History => is::<History>(record),
    };
    decoded.map_err(|error| chain(&error))
}
