//! Large values, split over several of sled's.
//!
//! sled puts a leaf over 128 KiB into a file of its own, which it never makes
//! durable and never deletes. A leaf holds up to 19 entries, so no entry may be
//! over some 6 KiB.
//!
//! ```text
//! RECORD key        00 value                         a small value
//! RECORD key        01 length (u32) chunks (u32)     the head of a large one
//! CHUNK  key n(u32) a part of the value
//! ```
//! Numbers of the head are little endian; `n` is big endian.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use sled::IVec;

use super::CHUNK;
use crate::error::{Failure, Result};

/// The most bytes of one sled key and value.
const ENTRY_BYTES_MAX: usize = 6 << 10;

const WHOLE: u8 = 0;
const SPLIT: u8 = 1;

/// A value as sled gets it.
pub(super) struct Parts {
    pub(super) head: Vec<u8>,
    pub(super) chunks: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Splits the value of `key` if it is large.
pub(super) fn split(key: &[u8], value: &[u8]) -> Parts {
    // Keys are at most some 3 KiB; the bound only keeps the arithmetic sound.
    let room = ENTRY_BYTES_MAX.saturating_sub(key.len() + 16).max(1 << 10);
    if value.len() < room {
        let mut head = Vec::with_capacity(value.len() + 1);
        head.push(WHOLE);
        head.extend_from_slice(value);
        return Parts { head, chunks: Vec::new() };
    }
    let chunks: Vec<_> =
        (0..).zip(value.chunks(room)).map(|(n, chunk)| (chunk_key(key, n), chunk.to_vec())).collect();
    let mut head = vec![SPLIT];
    head.put_u32_le(u32::try_from(value.len()).unwrap_or(u32::MAX));
    head.put_u32_le(u32::try_from(chunks.len()).unwrap_or(u32::MAX));
    Parts { head, chunks }
}

/// The keys of the chunks that belong to a head.
pub(super) fn chunk_keys(key: &[u8], head: &[u8]) -> Vec<Vec<u8>> {
    match split_head(head) {
        Some((_, count)) => (0..count).map(|n| chunk_key(key, n)).collect(),
        None => Vec::new(),
    }
}

/// Puts the value of `key` together from its head, and its chunks as `read`
/// answers them.
pub(super) fn join<E: From<crate::Error>>(
    key: &[u8],
    head: IVec,
    read: impl Fn(&[u8]) -> Result<Option<IVec>, E>,
) -> Result<Bytes, E> {
    let Some((length, count)) = split_head(&head) else {
        return match head.first() {
            Some(&WHOLE) => Ok(Bytes::from_owner(head).slice(1..)),
            _ => Err(damaged("its head does not parse").into()),
        };
    };
    let mut value = BytesMut::new();
    for n in 0..count {
        let chunk = read(&chunk_key(key, n))?.ok_or_else(|| damaged("a part of it is missing"))?;
        value.put_slice(&chunk);
    }
    if value.len() as u64 != u64::from(length) {
        return Err(damaged("its parts do not add up to its length").into());
    }
    Ok(value.freeze())
}

fn damaged(why: &str) -> crate::Error {
    let why = format!("the index is damaged: of a large record, {why}");
    Failure::Storage { place: String::new(), action: "", why }.into()
}

/// Length and number of chunks, if it is the head of a large value.
fn split_head(head: &[u8]) -> Option<(u32, u32)> {
    let mut rest = head.strip_prefix(&[SPLIT])?;
    if rest.len() != 8 {
        return None;
    }
    Some((rest.get_u32_le(), rest.get_u32_le()))
}

fn chunk_key(key: &[u8], n: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(key.len() + 5);
    bytes.push(CHUNK);
    bytes.extend_from_slice(key);
    bytes.extend_from_slice(&n.to_be_bytes());
    bytes
}
