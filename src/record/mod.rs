//! How state becomes bytes: keys, value envelopes, limits.
//!
//! Every process and each of its parts is a record of its own. A record is
//! found by its [`Key`], and its value is sealed in an envelope that tells
//! whether the bytes are those that were written, under this key, by which
//! commit. `docs/format.md` describes both byte by byte.

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

/// One stored record: what a read answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Record {
    pub(crate) key: Key,
    /// The sequence number of the commit that wrote it.
    pub(crate) version: u64,
    pub(crate) payload: Bytes,
}

/// A record where it stands: what a scan shows, without a copy of anything.
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
