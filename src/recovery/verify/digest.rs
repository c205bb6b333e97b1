//! A digest of a value for comparison.

use bytes::Bytes;

use crate::record::Head;

/// The checksum of an envelope, which covers key, version and payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digest {
    crc: Option<u32>,
    length: usize,
}

impl From<Bytes> for Digest {
    fn from(value: Bytes) -> Self {
        Self { crc: Head::parse(&value).map(|head| head.crc), length: value.len() }
    }
}
