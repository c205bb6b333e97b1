//! Records copied out of a scan into one allocation.

use std::collections::VecDeque;

use bytes::BytesMut;

use super::key::{Key, Kind};
use super::{Record, RecordRef};

/// A queue of records. They share the memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct RecordBuffer {
    /// The key and the payload of each record.
    bytes: BytesMut,
    parts: VecDeque<Parts>,
}

/// The layout of the next record.
#[derive(Debug, Clone, Copy)]
struct Parts {
    kind: Kind,
    version: u64,
    key_len: usize,
    payload_len: usize,
}

impl RecordBuffer {
    pub(crate) fn push(&mut self, record: RecordRef<'_>) {
        let (key, payload) = (record.key.bytes(), record.payload);
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(payload);
        self.parts.push_back(Parts {
            kind: record.key.kind(),
            version: record.version,
            key_len: key.len(),
            payload_len: payload.len(),
        });
    }

    pub(crate) fn pop(&mut self) -> Option<Record> {
        let Parts { kind, version, key_len, payload_len } = self.parts.pop_front()?;
        let key = Key::of_copy(self.bytes.split_to(key_len).freeze(), kind);
        Some(Record { key, version, payload: self.bytes.split_to(payload_len).freeze() })
    }

    pub(crate) fn len(&self) -> usize {
        self.parts.len()
    }

    /// Returns the total length of keys and payloads.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::List;

    #[test]
    fn records_come_out_as_they_went_in() {
        let record = |n: u64| Record {
            key: Key::item("p", List::Active, &format!("w{n}")),
            version: n,
            payload: vec![7; n as usize % 5].into(),
        };
        let mut buffer = RecordBuffer::default();
        (1..100).for_each(|n| buffer.push(record(n).borrow()));
        assert_eq!(buffer.len(), 99);
        let first = buffer.pop().unwrap();
        buffer.push(record(100).borrow());
        let rest: Vec<Record> = std::iter::from_fn(|| buffer.pop()).collect();
        assert_eq!(first, record(1));
        assert_eq!(rest, (2..=100).map(record).collect::<Vec<_>>());
        assert_eq!((buffer.len(), buffer.bytes()), (0, 0));
    }
}
