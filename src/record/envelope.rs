//! The value envelope: shows whether a value is intact, stored under its own key, and which commit
//! wrote it.
//!
//! ```text
//! offset  size
//!      0     4  crc32 (IEEE) over the key, bytes 4..18, and the payload; little endian
//!      4     1  format of the envelope, 1
//!      5     1  kind of the record, the tag of its key
//!      6     8  version: sequence number of the commit that wrote it; little endian
//!     14     4  length of the payload; little endian
//!     18     -  payload: a message of record.proto
//! ```
//!
//! The checksum covers the key, so that a value under another key is detected.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use crc32fast::Hasher;

use super::key::{Key, KeyRef, Kind};
use crate::model::limits::RECORD_BYTES_MAX;

const FORMAT: u8 = 1;
const CRC_LEN: usize = 4;
pub(crate) const HEADER_LEN: usize = 18;

/// Why a value is not a valid envelope for its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Damage {
    #[error("its value is cut short")]
    Truncated,
    #[error("its value is in format {0}, which this version does not know")]
    Format(u8),
    #[error("its checksum does not match: these bytes were not written under this key")]
    Checksum,
    #[error("its value belongs to another kind of record")]
    Kind,
}

/// Seals `payload` for storage under `key` by the commit `version`.
pub(crate) fn seal(key: &Key, version: u64, payload: &[u8]) -> Bytes {
    let mut value = BytesMut::with_capacity(HEADER_LEN + payload.len());
    value.put_u32_le(0);
    value.put_u8(FORMAT);
    value.put_u8(key.kind().tag());
    value.put_u64_le(version);
    // A commit checks that a payload is at most RECORD_BYTES_MAX.
    value.put_u32_le(u32::try_from(payload.len()).unwrap_or(u32::MAX));
    value.put_slice(payload);
    let crc = checksum(key.bytes(), value.get(CRC_LEN..).unwrap_or_default());
    if let Some(slot) = value.first_chunk_mut::<CRC_LEN>() {
        *slot = crc.to_le_bytes();
    }
    value.freeze()
}

/// Opens the envelope found under `key`; returns its version and its payload, which shares the
/// value's memory.
pub(crate) fn open(key: &Key, mut value: Bytes) -> Result<(u64, Bytes), Damage> {
    let (version, _) = open_ref(key.borrow(), &value)?;
    value.advance(HEADER_LEN);
    Ok((version, value))
}

/// Opens an envelope that is only borrowed.
pub(crate) fn open_ref<'a>(key: KeyRef<'_>, value: &'a [u8]) -> Result<(u64, &'a [u8]), Damage> {
    if value.len() < HEADER_LEN {
        return Err(Damage::Truncated);
    }
    let mut head = value;
    let crc = head.get_u32_le();
    let format = head.get_u8();
    if format != FORMAT {
        return Err(Damage::Format(format));
    }
    let tag = head.get_u8();
    let version = head.get_u64_le();
    let length = head.get_u32_le();
    if head.len() as u64 != u64::from(length) {
        return Err(Damage::Truncated);
    }
    if crc != checksum(key.bytes(), value.get(CRC_LEN..).unwrap_or_default()) {
        return Err(Damage::Checksum);
    }
    if tag != key.kind().tag() {
        return Err(Damage::Kind);
    }
    Ok((version, head))
}

/// The unverified header of an envelope.
///
/// Verifying it takes the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// The checksum of the key and everything that follows.
    pub(crate) crc: u32,
    pub(crate) kind: Kind,
    payload_len: usize,
}

impl Head {
    /// Parses the header at the start of `bytes`, if they can be the start of an envelope.
    pub(crate) fn parse(mut bytes: &[u8]) -> Option<Self> {
        // This cheap check rejects most non-envelopes; searches rely on it.
        if bytes.get(CRC_LEN) != Some(&FORMAT) {
            return None;
        }
        let kind = Kind::from_tag(*bytes.get(CRC_LEN + 1)?)?;
        let crc = bytes.try_get_u32_le().ok()?;
        let length = bytes.get(HEADER_LEN - CRC_LEN - 4..)?.try_get_u32_le().ok()?;
        let payload_len = usize::try_from(length).ok().filter(|length| *length <= RECORD_BYTES_MAX)?;
        Some(Self { crc, kind, payload_len })
    }

    pub(crate) fn envelope_len(&self) -> usize {
        HEADER_LEN + self.payload_len
    }
}

fn checksum(key: &[u8], rest: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(key);
    hasher.update(rest);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::List;

    #[test]
    fn golden_bytes() {
        let key = Key::owner("p");
        let value = seal(&key, 7, b"abc");
        assert_eq!(&value[4..], b"\x01\x10\x07\0\0\0\0\0\0\0\x03\0\0\0abc");
        assert_eq!(
            value[..4],
            crc32fast::hash(b"\x01p\0\x10\x01\x10\x07\0\0\0\0\0\0\0\x03\0\0\0abc").to_le_bytes()
        );
    }

    #[test]
    fn opens_what_it_sealed() {
        let key = Key::item("p", List::Active, "w");
        let value = seal(&key, u64::MAX, b"payload");
        let (version, payload) = open(&key, value).unwrap();
        assert_eq!(version, u64::MAX);
        assert_eq!(&payload[..], b"payload");
    }

    #[test]
    fn detects_every_flipped_bit_and_every_truncation() {
        let key = Key::owner("p");
        let sound = seal(&key, 300, b"some payload");
        for byte in 0..sound.len() {
            for bit in 0..8 {
                let mut damaged = sound.to_vec();
                damaged[byte] ^= 1 << bit;
                assert!(open(&key, damaged.into()).is_err(), "byte {byte} bit {bit}");
            }
            assert!(open(&key, sound.slice(..byte)).is_err(), "cut at {byte}");
        }
    }

    #[test]
    fn an_empty_payload_is_a_payload() {
        let key = Key::owner("p");
        assert_eq!(open(&key, seal(&key, 1, b"")), Ok((1, Bytes::new())));
    }

    #[test]
    fn damage_is_told_apart() {
        let key = Key::owner("p");
        let sound = seal(&key, 300, b"some payload");
        let with = |at: usize, byte: u8| {
            let mut damaged = sound.to_vec();
            damaged[at] = byte;
            let crc = checksum(key.bytes(), &damaged[CRC_LEN..]);
            damaged[..CRC_LEN].copy_from_slice(&crc.to_le_bytes());
            open(&key, damaged.into())
        };
        assert_eq!(with(4, 2), Err(Damage::Format(2)));
        assert_eq!(with(5, Kind::Status.tag()), Err(Damage::Kind));
        assert_eq!(with(14, 11), Err(Damage::Truncated));
        assert_eq!(open(&key, sound.slice(..sound.len() - 1)), Err(Damage::Truncated));
        assert_eq!(open(&key, sound.slice(..HEADER_LEN - 1)), Err(Damage::Truncated));
    }

    #[test]
    fn a_header_tells_the_kind_and_length_of_its_envelope() {
        for payload in [&b""[..], b"payload", &[7; 3000]] {
            let value = seal(&Key::item("p", List::Active, "w"), 0x0102_0304_0506_0708, payload);
            let head = Head::parse(&value).unwrap();
            assert_eq!(head.kind, Kind::Active);
            assert_eq!(head.crc.to_le_bytes(), value[..CRC_LEN]);
            assert_eq!(head.envelope_len(), value.len());
            assert_eq!(Head::parse(&value[..HEADER_LEN]), Some(head), "the payload may follow");
        }
    }

    #[test]
    fn bytes_that_start_no_envelope_have_no_header() {
        let sound = seal(&Key::owner("p"), 1, b"payload");
        for len in 0..HEADER_LEN {
            assert_eq!(Head::parse(&sound[..len]), None, "{len} bytes");
        }
        let with = |at: usize, bytes: &[u8]| {
            let mut other = sound.to_vec();
            other[at..at + bytes.len()].copy_from_slice(bytes);
            Head::parse(&other)
        };
        let largest = u32::try_from(RECORD_BYTES_MAX).unwrap();
        assert_eq!(with(4, &[2]), None, "another format");
        assert_eq!(with(5, &[0x11]), None, "an unknown kind");
        assert!(with(14, &largest.to_le_bytes()).is_some());
        assert_eq!(with(14, &(largest + 1).to_le_bytes()), None, "a payload above the limit");
    }

    #[test]
    fn detects_a_value_under_another_key() {
        let value = seal(&Key::item("p", List::Active, "a"), 1, b"x");
        let other = Key::item("p", List::Active, "b");
        assert_eq!(open(&other, value), Err(Damage::Checksum));
    }
}
