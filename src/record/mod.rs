//! The encoding of state as bytes: keys, value envelopes, limits.
//!
//! Every process and each of its parts is a separate record. A [`Key`] locates a record, and its
//! value is sealed in an envelope that shows whether the bytes are intact, belong to this key, and
//! which commit wrote them. `docs/format.md` describes both byte by byte.

mod buffer;
mod envelope;
mod fingerprint;
mod key;
mod payload;
mod position;

pub(crate) use buffer::RecordBuffer;
pub(crate) use envelope::{Damage, HEADER_LEN as ENVELOPE_HEADER_LEN, Head, open, open_ref, seal};
pub(crate) use fingerprint::fingerprint;
pub(crate) use key::{Address, KEYSPACE, Key, KeyRange, KeyRef, Kind, Slot};
pub(crate) use payload::Payload;
pub(crate) use position::{Epoch, Position, Writers};

use bytes::Bytes;

/// A stored record, as reads return it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Record {
    pub(crate) key: Key,
    /// The sequence number of the commit that wrote it.
    pub(crate) version: u64,
    pub(crate) payload: Bytes,
}

/// A borrowed record, as scans present it without copying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordRef<'a> {
    pub(crate) key: KeyRef<'a>,
    pub(crate) version: u64,
    pub(crate) payload: &'a [u8],
}

impl Record {
    pub(crate) fn borrow(&self) -> RecordRef<'_> {
        RecordRef { key: self.key.borrow(), version: self.version, payload: &self.payload }
    }
}

impl RecordRef<'_> {
    pub(crate) fn to_record(self) -> Record {
        Record {
            key: self.key.to_key(),
            version: self.version,
            payload: Bytes::copy_from_slice(self.payload),
        }
    }
}
