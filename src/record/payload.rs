//! The messages of `record.proto`, and the records that hold them.

use bytes::Bytes;
use prost::Message;
use prost_types::Timestamp;

use super::{Record, RecordRef};
use crate::error::{Failure, Result};
use crate::proto::Encode;
use crate::proto::record::{History, Item, ItemHead, Owner, RunStatus, Settings, Totals};

/// A message that is the payload of a record.
pub(crate) trait Payload: Encode + Default {
    fn to_payload(&self) -> Bytes {
        self.encode_exactly().into()
    }

    fn from_record(record: &Record) -> Result<Self> {
        Self::from_ref(record.borrow())
    }

    fn from_ref(record: RecordRef<'_>) -> Result<Self> {
        decode(record)
    }
}

impl ItemHead {
    pub(crate) fn from_ref(record: RecordRef<'_>) -> Result<Self> {
        decode(record)
    }
}

fn decode<M: Message + Default>(record: RecordRef<'_>) -> Result<M> {
    M::decode(record.payload).map_err(|error| {
        Failure::Corrupt {
            place: record.key.describe(),
            why: format!("its checksum matches, but its message does not decode: {error}"),
        }
        .into()
    })
}

impl Payload for Owner {}
impl Payload for Settings {}
impl Payload for RunStatus {}
impl Payload for Totals {}
impl Payload for Item {}
impl Payload for History {}
/// The time when a cleanup was requested, or an item dropped.
impl Payload for Timestamp {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Key;

    #[test]
    fn a_message_is_read_back_from_its_record() {
        let item = Item { registered: 7, run: 5, ..Item::default() };
        let record = Record { key: Key::owner("p"), version: 1, payload: item.to_payload() };
        assert_eq!(Item::from_record(&record).unwrap(), item);
        assert_eq!(Item::from_ref(record.borrow()).unwrap(), item);
    }

    #[test]
    fn a_payload_that_does_not_decode_names_its_record() {
        let payload = Bytes::from_static(b"\xff");
        let record = Record { key: Key::status("p"), version: 1, payload };
        for error in [RunStatus::from_record(&record), RunStatus::from_ref(record.borrow())] {
            let error = error.unwrap_err();
            assert!(error.is_corrupt(), "{error}");
            let expected = "the status of process \"p\" is damaged: its checksum matches, but";
            assert!(error.to_string().starts_with(expected), "{error}");
        }
    }
}
