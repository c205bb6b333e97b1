//! Splits large values over several sled entries.
//!
//! sled puts a node over 128 KiB into a separate file, which it never makes durable and never
//! deletes. A leaf holds up to 19 entries, so no entry may exceed about 6 KiB.
//!
//! ```text
//! RECORD key     00 value                                     a small value
//! RECORD key     01 length (u32) chunks (u32) set (u64)       the head of a large one
//! CHUNK set n    a part of the value
//! ```
//! Numbers in the head are little endian; `set` and `n` are big endian in the key. A set is one
//! large value. The key of a chunk is short, independent of the record's key, because sled's inner
//! nodes hold up to 256 keys.

use std::borrow::Cow;

use bytes::{Buf, BufMut, Bytes};
use sled::IVec;

use super::guard::Fault;
use super::key::CHUNK;
use crate::error::Result;

/// The maximum size of a sled key and value together, in bytes.
const ENTRY_BYTES_MAX: usize = 6 << 10;

const WHOLE: u8 = 0;
const SPLIT: u8 = 1;

/// The head of a large value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Set {
    length: u32,
    chunks: u32,
    id: u64,
}

/// Reports whether the value of `key` must be split.
pub(super) fn is_large(key: &[u8], value: &[u8]) -> bool {
    key.len() + value.len() + 2 > ENTRY_BYTES_MAX
}

/// Encodes a small value for sled.
pub(super) fn whole(value: &[u8]) -> Vec<u8> {
    let mut head = Vec::with_capacity(value.len() + 1);
    head.push(WHOLE);
    head.extend_from_slice(value);
    head
}

/// Decodes a small value from sled.
pub(super) fn of_whole(head: &[u8]) -> Option<&[u8]> {
    head.strip_prefix(&[WHOLE])
}

/// Returns the set and the part number in this key.
pub(super) fn part_of_key(key: &[u8]) -> Option<(u64, u32)> {
    let mut rest = key.strip_prefix(&[CHUNK])?;
    if rest.len() != 12 {
        return None;
    }
    Some((rest.get_u64(), rest.get_u32()))
}

/// Returns the parts of a large value.
fn parts(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.chunks(ENTRY_BYTES_MAX - 16)
}

impl Set {
    pub(super) fn new(id: u64, value: &[u8]) -> Self {
        // A value is at most RECORD_BYTES_MAX plus its envelope.
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        let chunks = u32::try_from(parts(value).count()).unwrap_or(u32::MAX);
        Self { length, chunks, id }
    }

    /// Returns the set in a head, if it is the head of a large value.
    pub(super) fn of_head(head: &[u8]) -> Option<Self> {
        let mut rest = head.strip_prefix(&[SPLIT])?;
        if rest.len() != 16 {
            return None;
        }
        Some(Self { length: rest.get_u32_le(), chunks: rest.get_u32_le(), id: rest.get_u64_le() })
    }

    pub(super) fn head(self) -> Vec<u8> {
        let mut head = vec![SPLIT];
        head.put_u32_le(self.length);
        head.put_u32_le(self.chunks);
        head.put_u64_le(self.id);
        head
    }

    pub(super) fn length(self) -> u64 {
        self.length.into()
    }

    /// Returns the set and number of each part.
    pub(super) fn parts(self) -> impl Iterator<Item = (u64, u32)> {
        (0..self.chunks).map(move |n| (self.id, n))
    }

    pub(super) fn keys(self) -> impl Iterator<Item = Vec<u8>> {
        self.parts().map(|(id, n)| {
            let mut key = vec![CHUNK];
            key.put_u64(id);
            key.put_u32(n);
            key
        })
    }

    /// Returns the keys and parts of `value`.
    pub(super) fn entries(self, value: &[u8]) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
        self.keys().zip(parts(value).map(<[u8]>::to_vec))
    }
}

/// Joins a value from its head and the chunks that `read` returns.
pub(super) fn join<E: From<Fault>>(
    head: IVec,
    read: impl Fn(&[u8]) -> Result<Option<IVec>, E>,
) -> Result<Bytes, E> {
    if of_whole(&head).is_none() {
        return gather(&head, read).map(Bytes::from);
    }
    let mut value = Bytes::from_owner(head);
    value.advance(1);
    Ok(value)
}

/// Joins a value that is only borrowed.
pub(super) fn view<'a, E: From<Fault>>(
    head: &'a [u8],
    read: impl Fn(&[u8]) -> Result<Option<IVec>, E>,
) -> Result<Cow<'a, [u8]>, E> {
    match of_whole(head) {
        Some(value) => Ok(Cow::Borrowed(value)),
        None => gather(head, read).map(Cow::Owned),
    }
}

/// Joins the parts of a large value.
fn gather<E: From<Fault>>(
    head: &[u8],
    read: impl Fn(&[u8]) -> Result<Option<IVec>, E>,
) -> Result<Vec<u8>, E> {
    let set = Set::of_head(head).ok_or(Fault::Damaged("the head of a record does not parse"))?;
    let mut value = Vec::new();
    for key in set.keys() {
        let chunk = read(&key)?.ok_or(Fault::Damaged("a part of a large record is missing"))?;
        value.extend_from_slice(&chunk);
    }
    if value.len() as u64 != u64::from(set.length) {
        return Err(Fault::Damaged("the parts of a large record do not add up to its length").into());
    }
    Ok(value)
}
