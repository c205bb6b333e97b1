//! Decodes the messages of sled's log.
//!
//! ```text
//! segment  524288 bytes: 20 of a header, then messages
//! message  crc32 (u32) kind (u8) length of the body (varint) segment number (varint)
//!          page (varint) body
//! kind     8 a node | 10 a change to one | others hold no records
//! varint   0-240 itself | 241-248 two bytes | 249 three | 250-255 three to eight, behind it
//! blob     crc32 (u32) kind (u8: 9 a node | 11 a change) body: a file of its own
//! ```
//! The crc32 covers the body and then the rest of the header, and is inverted.

use bytes::Buf;

use super::node::{self, Leaf};
use crate::crc::{Checksums, without_zeros};

pub(super) const SEGMENT_BYTES: usize = 512 << 10;

const CRC_LEN: usize = 4;

const NODE: u8 = 8;
const BLOB_NODE: u8 = 9;
const CHANGE: u8 = 10;
const BLOB_CHANGE: u8 = 11;
/// How many bytes of node contents to decode in vain per segment.
///
/// Damage stays far below this; only bytes forged for the purpose come near.
const VAIN_BYTES_MAX: usize = 16 * SEGMENT_BYTES;

const KINDS: std::ops::RangeInclusive<u8> = 1..=BLOB_CHANGE;

#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    kind: u8,
    pub(super) page: u64,
    body: &'a [u8],
    /// The offset of the body in the bytes read.
    at: usize,
    /// Whether its checksum matches.
    pub(super) is_sound: bool,
}

impl<'a> Message<'a> {
    /// Returns its node, if that holds records.
    pub(super) fn leaf(&self) -> Option<Leaf<'a>> {
        (self.kind == NODE).then(|| node::leaf(self.body)).flatten()
    }

    /// Returns the key, without the prefix of its node, and the value that it sets.
    pub(super) fn change(&self) -> Option<(&'a [u8], &'a [u8])> {
        (self.kind == CHANGE).then(|| node::set(self.body)).flatten()
    }

    /// Returns the offset of a part of its body in the bytes read.
    pub(super) fn offset_of(&self, part: &[u8]) -> u64 {
        let within = (part.as_ptr().addr()).saturating_sub(self.body.as_ptr().addr());
        (self.at + within) as u64
    }
}

/// Visits the messages of a segment, including possible ones with a wrong checksum.
pub(super) fn each<'a>(segment: &'a [u8], visit: &mut dyn FnMut(Message<'a>)) {
    let mut checksums = Checksums::of(segment);
    let (mut at, mut vain_bytes) = (0, VAIN_BYTES_MAX);
    while at + CRC_LEN < segment.len() {
        match parse(&mut checksums, at) {
            Some((message, length)) if message.is_sound => {
                visit(message);
                at += length;
            }
            Some((message, _)) => {
                if message.kind != NODE {
                    visit(message);
                } else if message.body.len() <= vain_bytes {
                    vain_bytes -= message.body.len();
                    visit(message);
                }
                at += 1;
            }
            None => at += 1,
        }
    }
}

fn parse<'a>(checksums: &mut Checksums<'a>, at: usize) -> Option<(Message<'a>, usize)> {
    let bytes = checksums.bytes().get(at..)?;
    let mut rest = bytes;
    let crc = rest.try_get_u32_le().ok()?;
    let kind = rest.try_get_u8().ok()?;
    // This cheap check rejects most non-messages.
    if !KINDS.contains(&kind) {
        return None;
    }
    let length = usize::try_from(node::varint(&mut rest)?).ok()?;
    let _segment = node::varint(&mut rest)?;
    let page = node::varint(&mut rest)?;
    let head = bytes.len() - rest.len();
    let body = rest.get(..length)?;
    // The checksum that the body must have: the total also covers the rest of the header, after it.
    let after = bytes.get(CRC_LEN..head)?;
    let of_body = without_zeros(!crc ^ crc32fast::hash(after), after.len());
    let is_sound = checksums.is(0, at + head..at + head + length, of_body);
    Some((Message { kind, page, body, at: at + head, is_sound }, head + length))
}

/// Returns the message in a separate file.
pub(super) fn of_blob(bytes: &[u8]) -> Option<Message<'_>> {
    let mut body = bytes;
    let crc = body.try_get_u32_le().ok()?;
    let kind = match body.try_get_u8().ok()? {
        BLOB_NODE => NODE,
        BLOB_CHANGE => CHANGE,
        _ => return None,
    };
    let is_sound = crc32fast::hash(bytes.get(CRC_LEN..)?) == crc;
    // The log tells which page it belongs to; what the file says about pages is not needed.
    Some(Message { kind, page: u64::MAX, body, at: CRC_LEN + 1, is_sound })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forged_nodes_are_decoded_within_bounds() {
        let fake = [7, 7, 7, 7, NODE, 250, 0, 0, 3, 1, 1];
        let segment = fake.repeat(SEGMENT_BYTES / fake.len());
        let mut read = 0;
        each(&segment, &mut |message| read += if message.kind == NODE { message.body.len() } else { 0 });
        assert!(read <= VAIN_BYTES_MAX && read > VAIN_BYTES_MAX / 2, "{read} bytes");
    }

    #[test]
    fn a_message_in_between_is_found() {
        let body = |bytes: usize| (0..bytes).map(|n| n as u8).collect::<Vec<_>>();
        for bytes in [3, 240, 2000] {
            let mut head = vec![CHANGE];
            match bytes {
                0..=240 => head.push(bytes as u8),
                _ => head.extend([241 + ((bytes - 240) / 256) as u8, (bytes - 240) as u8]),
            }
            head.extend([1, 77]);
            let mut hasher = crc32fast::Hasher::new();
            hasher.update(&body(bytes));
            hasher.update(&head);
            let crc = (!hasher.finalize()).to_le_bytes();
            let segment = [&[9; 501][..], &crc, &head, &body(bytes), &[9; 99]].concat();
            let mut sound = Vec::new();
            each(&segment, &mut |message| {
                if message.is_sound {
                    sound.push((message.at, message.page, message.body.len()));
                }
            });
            assert_eq!(sound, [(505 + head.len(), 77, bytes)]);
        }
    }
}
