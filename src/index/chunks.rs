//! Large values, split over several of sled's.
//!
//! sled puts a node over 128 KiB into a file of its own, which it never makes
//! durable and never deletes. A leaf holds up to 19 entries, so no entry may be
//! over some 6 KiB.
//!
//! ```text
//! RECORD key     00 value                                     a small value
//! RECORD key     01 length (u32) chunks (u32) set (u64)       the head of a large one
//! CHUNK set n    a part of the value
//! ```
//! Numbers of the head are little endian. `set` and `n` are big endian in the
//! key; a set is one large value. The key of a chunk is short whatever that of
//! the record is, since sled's inner nodes hold up to 256 keys.

use std::borrow::Cow;

use bytes::{Buf, BufMut, Bytes};
use sled::IVec;

use super::guard::Fault;
use super::key::CHUNK;
use crate::error::Result;

/// The most bytes of one sled key and value.
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

/// Whether the value of `key` is to be split.
pub(super) fn is_large(key: &[u8], value: &[u8]) -> bool {
    key.len() + value.len() + 2 > ENTRY_BYTES_MAX
}

/// A small value as sled gets it.
pub(super) fn whole(value: &[u8]) -> Vec<u8> {
    let mut head = Vec::with_capacity(value.len() + 1);
    head.push(WHOLE);
    head.extend_from_slice(value);
    head
}

/// The value in a small value as sled has it.
pub(super) fn of_whole(head: &[u8]) -> Option<&[u8]> {
    head.strip_prefix(&[WHOLE])
}

/// The set and the number of the part with this key.
pub(super) fn part_of_key(key: &[u8]) -> Option<(u64, u32)> {
    let mut rest = key.strip_prefix(&[CHUNK])?;
    if rest.len() != 12 {
        return None;
    }
    Some((rest.get_u64(), rest.get_u32()))
}

/// The parts of a large value.
fn parts(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.chunks(ENTRY_BYTES_MAX - 16)
}

impl Set {
    pub(super) fn new(id: u64, value: &[u8]) -> Self {
        // A value is at most RECORD_BYTES_MAX and its envelope.
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        let chunks = u32::try_from(parts(value).count()).unwrap_or(u32::MAX);
        Self { length, chunks, id }
    }

    /// The set that a head names, if it is that of a large value.
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

    /// The set and the number of each part.
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

    /// The keys and the parts of `value`.
    pub(super) fn entries(self, value: &[u8]) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
        self.keys().zip(parts(value).map(<[u8]>::to_vec))
    }
}

/// Puts a value together from its head, and its chunks as `read` answers them.
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

/// The same of a value that is not to be kept.
pub(super) fn view<'a, E: From<Fault>>(
    head: &'a [u8],
    read: impl Fn(&[u8]) -> Result<Option<IVec>, E>,
) -> Result<Cow<'a, [u8]>, E> {
    match of_whole(head) {
        Some(value) => Ok(Cow::Borrowed(value)),
        None => gather(head, read).map(Cow::Owned),
    }
}

/// Puts a large value together.
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
