//! Validates a record: its key, its envelope, its message.

use bytes::Bytes;
use prost_types::Timestamp;

use crate::error::chain;
use crate::model::limits::SEQ_MAX;
use crate::proto::record::{History, Item, Owner, RunStatus, Settings, Totals};
use crate::record::{self, Key, Kind, Payload, Record};

/// Opens a record; fails with the reason if it is damaged.
pub(crate) fn open_record(key: &Bytes, value: &Bytes) -> Result<Record, String> {
    let Some(key) = Key::from_bytes(key.clone()) else {
        return Err(format!("no record has a key like {:02x?}", key.as_ref()));
    };
    let (version, payload) =
        record::open(&key, value.clone()).map_err(|damage| format!("{}: {damage}", key.describe()))?;
    let record = Record { key, version, payload };
    decode(&record)?;
    Ok(record)
}

/// Opens a possible record.
///
/// Among many candidates a matching checksum proves little, so the message must decode too.
pub(crate) fn found_record(key: &Bytes, value: &Bytes) -> Option<Record> {
    open_record(key, value).ok().filter(|record| record.version <= SEQ_MAX)
}

/// Decodes the message of a record; fails with the reason if it is damaged.
pub(crate) fn decode(record: &Record) -> Result<(), String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undecodable_records_are_not_found() {
        let key = Key::status("p");
        let found = |version, payload: &[u8]| {
            let value = record::seal(&key, version, payload);
            found_record(key.bytes(), &value).map(|record| record.version)
        };
        assert_eq!(found(3, b""), Some(3));
        assert_eq!(found(SEQ_MAX, b""), Some(SEQ_MAX));
        assert_eq!(found(SEQ_MAX + 1, b""), None, "no commit has this number");
        assert_eq!(found(3, &[0xff; 7]), None, "no message");
    }
}
