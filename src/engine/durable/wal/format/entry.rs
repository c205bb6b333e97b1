//! Entries: the encoding of a commit in the log.
//!
//! ```text
//! entry = writes (u32, its highest bit set if there is a time) [time (i64)] write...
//! write = op (u8) length of key (u16) length of payload (u32)
//!         [replaces (u64)] key payload
//! op    = 01 put | 02 delete | 11 put with replaces | 12 delete with replaces
//! ```
//! Integers are little endian. The time is that of the commit, in microseconds since 1970; logs of
//! stores of format 2 have none. A write of an owner record contains the version that it replaces,
//! 0 for none: the index checks that it replaces exactly this version.

use bytes::{Buf, BufMut, Bytes};
use jiff::Timestamp;

use crate::engine::{Batch, Write};
use crate::record::{Key, KeyRef, Kind};

const PUT: u8 = 1;
const DELETE: u8 = 2;
const REPLACES: u8 = 0x10;

/// The flag in the number of writes of an entry with a time.
const HAS_TIME: u32 = 1 << 31;

/// A logged commit. Its writes are decoded one by one, since there may be a million.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    /// When it was made, to the microsecond.
    pub(crate) time: Option<Timestamp>,
    count: u32,
    writes: &'a [u8],
}

/// A logged write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Logged {
    pub(crate) key: Key,
    /// `None` deletes.
    pub(crate) payload: Option<Bytes>,
    /// For an owner record: the replaced version, 0 for none.
    pub(crate) replaces: Option<u64>,
}

/// A logged write, borrowed from its entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoggedRef<'a> {
    pub(crate) key: KeyRef<'a>,
    pub(crate) payload: Option<&'a [u8]>,
    pub(crate) replaces: Option<u64>,
}

impl From<LoggedRef<'_>> for Logged {
    fn from(write: LoggedRef<'_>) -> Self {
        let LoggedRef { key, payload, replaces } = write;
        Self { key: key.to_key(), payload: payload.map(Bytes::copy_from_slice), replaces }
    }
}

/// Returns the key of a write, and its payload unless it is a deletion.
pub(crate) fn key_and_payload(write: &Write) -> (&Key, Option<&Bytes>) {
    match write {
        Write::Put { key, payload } => (key, Some(payload)),
        Write::Delete { key } => (key, None),
    }
}

fn has_replaces(key: &Key) -> bool {
    key.kind() == Kind::Owner
}

/// Returns the encoded length of a batch.
pub(crate) fn encoded_len(batch: &Batch) -> usize {
    let of = |write: &Write| {
        let (key, payload) = key_and_payload(write);
        let replaces = if has_replaces(key) { 8 } else { 0 };
        7 + replaces + key.bytes().len() + payload.map_or(0, Bytes::len)
    };
    12 + batch.writes.iter().map(of).sum::<usize>()
}

/// Encodes a batch committed at `time`, passing the bytes to `put` piece by piece.
///
/// `replaces` returns the owner version that the n-th write replaces.
pub(crate) fn encode<E>(
    batch: &Batch,
    time: Timestamp,
    replaces: impl Fn(usize) -> u64,
    mut put: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    // COMMIT_BYTES_MAX bounds the number of writes and the lengths.
    let writes = u32::try_from(batch.writes.len()).unwrap_or(u32::MAX);
    put(&(writes | HAS_TIME).to_le_bytes())?;
    put(&time.as_microsecond().to_le_bytes())?;
    for (n, write) in batch.writes.iter().enumerate() {
        let (key, payload) = key_and_payload(write);
        let mut head = [0; 15];
        let mut rest = head.as_mut_slice();
        let op = if payload.is_some() { PUT } else { DELETE };
        rest.put_u8(if has_replaces(key) { op | REPLACES } else { op });
        rest.put_u16_le(u16::try_from(key.bytes().len()).unwrap_or(u16::MAX));
        rest.put_u32_le(u32::try_from(payload.map_or(0, Bytes::len)).unwrap_or(u32::MAX));
        if has_replaces(key) {
            rest.put_u64_le(replaces(n));
        }
        let unused = rest.len();
        put(head.get(..head.len() - unused).unwrap_or_default())?;
        put(key.bytes())?;
        if let Some(payload) = payload {
            put(payload)?;
        }
    }
    Ok(())
}

impl<'a> Entry<'a> {
    /// Decodes an entry; `None` if the bytes are not one.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let entry = Self::decode_begun(bytes)?;
        let mut rest = entry.writes;
        for _ in 0..entry.count {
            split_write(&mut rest)?;
        }
        rest.is_empty().then_some(entry)
    }

    /// Decodes the complete writes of an entry whose end may be missing.
    pub(crate) fn decode_begun(mut bytes: &'a [u8]) -> Option<Self> {
        let (time, count) = decode_head(&mut bytes)?;
        Some(Self { time, count, writes: bytes })
    }

    pub(crate) fn writes(self) -> impl Iterator<Item = Logged> {
        self.borrowed_writes().map(Logged::from)
    }

    pub(crate) fn borrowed_writes(self) -> impl Iterator<Item = LoggedRef<'a>> {
        let mut rest = self.writes;
        (0..self.count).map_while(move |_| split_write(&mut rest))
    }
}

fn decode_head(entry: &mut &[u8]) -> Option<(Option<Timestamp>, u32)> {
    let head = entry.try_get_u32_le().ok()?;
    if head & HAS_TIME == 0 {
        return Some((None, head));
    }
    let time = Timestamp::from_microsecond(entry.try_get_i64_le().ok()?).ok()?;
    Some((Some(time), head & !HAS_TIME))
}

/// Splits off the first write of `entry`.
fn split_write<'a>(entry: &mut &'a [u8]) -> Option<LoggedRef<'a>> {
    let op = entry.try_get_u8().ok()?;
    let key_len = usize::from(entry.try_get_u16_le().ok()?);
    let payload_len = usize::try_from(entry.try_get_u32_le().ok()?).ok()?;
    let replaces = if op & REPLACES == 0 { None } else { Some(entry.try_get_u64_le().ok()?) };
    let (key, rest) = entry.split_at_checked(key_len)?;
    let (payload, rest) = rest.split_at_checked(payload_len)?;
    *entry = rest;
    let payload = match op & !REPLACES {
        PUT => Some(payload),
        DELETE if payload.is_empty() => None,
        _ => return None,
    };
    let key = KeyRef::parse(key)?;
    (replaces.is_some() == (key.kind() == Kind::Owner)).then_some(LoggedRef { key, payload, replaces })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::List;

    fn time() -> Timestamp {
        Timestamp::from_microsecond(0x0102_0304).unwrap()
    }

    fn encoded(batch: &Batch) -> Vec<u8> {
        let mut bytes = Vec::new();
        let put = |piece: &[u8]| -> Result<(), ()> {
            bytes.extend_from_slice(piece);
            Ok(())
        };
        encode(batch, time(), |n| 40 + n as u64, put).unwrap();
        bytes
    }

    fn batch() -> Batch {
        Batch::new()
            .put(Key::item("p", List::Active, "w"), Bytes::from_static(b"abc"))
            .put(Key::owner("p"), Bytes::from_static(b"o"))
            .delete(Key::status("p"))
    }

    #[test]
    fn golden_bytes() {
        let expected = [
            b"\x03\0\0\x80\x04\x03\x02\x01\0\0\0\0".as_slice(),
            b"\x01\x05\0\x03\0\0\0\x01p\0\x50wabc",
            b"\x11\x04\0\x01\0\0\0\x29\0\0\0\0\0\0\0\x01p\0\x10o",
            b"\x02\x04\0\0\0\0\0\x01p\0\x30",
        ];
        assert_eq!(encoded(&batch()), expected.concat());
        assert_eq!(encoded_len(&batch()), expected.concat().len());
    }

    fn decoded(bytes: &[u8]) -> Option<(Option<Timestamp>, Vec<Logged>)> {
        Entry::decode(bytes).map(|entry| (entry.time, entry.writes().collect()))
    }

    #[test]
    fn decodes_what_it_encoded_and_nothing_else() {
        let bytes = encoded(&batch());
        let (logged_at, logged) = decoded(&bytes).unwrap();
        assert_eq!((logged_at, logged.len()), (Some(time()), 3));
        assert_eq!(logged[1].replaces, Some(41));
        assert_eq!(logged[2], Logged { key: Key::status("p"), payload: None, replaces: None });
        for cut in 0..bytes.len() {
            assert_eq!(decoded(&bytes[..cut]), None, "cut at {cut}");
        }
        for (cut, writes) in [(12, 0), (27, 1), (28, 1), (50, 2)] {
            let begun = Entry::decode_begun(&bytes[..cut]).unwrap();
            assert_eq!(begun.writes().collect::<Vec<_>>(), logged[..writes], "cut at {cut}");
        }
        assert!(Entry::decode_begun(&bytes[..10]).is_none());
        assert_eq!(decoded(&[bytes, vec![0]].concat()), None);
        assert_eq!(decoded(&u32::MAX.to_le_bytes()), None);
    }

    /// As in stores of format 2.
    #[test]
    fn an_entry_may_have_no_time() {
        let bytes = encoded(&batch());
        let without = [b"\x03\0\0\0", &bytes[12..]].concat();
        let (time, writes) = decoded(&without).unwrap();
        assert_eq!((time, writes), (None, decoded(&bytes).unwrap().1));
    }
}
