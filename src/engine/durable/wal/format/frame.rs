//! Frames, the units of a segment. A commit is one frame, or several if it is large.
//!
//! ```text
//! offset  size
//!      0     4  crc32 over the segment's id (u64), the frame's offset in the file
//!               (u64), bytes 4..32 and the body
//!      4     4  length of the body
//!      8     8  sequence number
//!     16     8  synced: the commit up to which everything was durable when this
//!               was written
//!     24     4  part: 0 in the first frame of a commit, one more in each after it
//!     28     1  kind
//!     29     3  zero
//!     32     -  body, filled up to a multiple of 8
//! ```
//! Integers are little endian. Since the checksum covers segment id and offset, neither the
//! previous content of a recycled file nor a misplaced block can be mistaken for a frame. `synced`
//! distinguishes a torn tail from damage: commits that a later frame calls synced existed.

use bytes::Buf;

use crate::crc::Checksums;
use crate::model::limits::SEQ_MAX;

pub(crate) const HEADER_LEN: usize = 32;

/// The alignment of frames.
pub(crate) const ALIGN: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A whole commit.
    Whole = 1,
    /// The parts of a large one.
    First = 2,
    Middle = 3,
    Last = 4,
    /// Not a commit: records what is synced.
    Mark = 5,
    /// Not a commit: the store was closed, and everything before is synced.
    Close = 6,
    /// The log continues in the segment whose id is the body.
    Next = 7,
    /// The writer changes: the body has the epochs of the newest commit before and of the commits
    /// after it.
    Epoch = 8,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Whole,
        Self::First,
        Self::Middle,
        Self::Last,
        Self::Mark,
        Self::Close,
        Self::Next,
        Self::Epoch,
    ];
}

/// The location of a frame, which its checksum covers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) kind: Kind,
    pub(crate) seq: u64,
    pub(crate) synced: u64,
    pub(crate) part: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) head: Head,
    pub(crate) body: &'a [u8],
}

/// The body of a frame that names the next segment. Every segment has room for one.
pub(crate) const NEXT_BODY: usize = 8;

/// Returns the space for frames from `offset` on in a segment, besides the one that names the next.
pub(crate) fn room(segment_bytes: u64, offset: u64) -> u64 {
    segment_bytes.saturating_sub(offset + frame_len(NEXT_BODY) as u64)
}

/// Returns the length of a frame with a body of this length.
pub(crate) fn frame_len(body: usize) -> usize {
    (HEADER_LEN + body).next_multiple_of(ALIGN)
}

impl Frame<'_> {
    pub(crate) fn len(&self) -> usize {
        frame_len(self.body.len())
    }
}

/// Reserves space for a frame header at the end of `buffer`, to be followed by the body; returns
/// the offset of the frame.
pub(crate) fn begin(buffer: &mut Vec<u8>) -> usize {
    let start = buffer.len();
    buffer.resize(start + HEADER_LEN, 0);
    start
}

/// Completes the frame between `start` and the end of `buffer`, for its place.
pub(crate) fn seal(buffer: &mut Vec<u8>, start: usize, head: Head, place: Place) {
    let frame = buffer.get_mut(start..).unwrap_or_default();
    let length = u32::try_from(frame.len().saturating_sub(HEADER_LEN)).unwrap_or(u32::MAX);
    let mut header = [0; HEADER_LEN];
    {
        let mut fields = header.as_mut_slice();
        let mut put = |bytes: &[u8]| bytes::BufMut::put_slice(&mut fields, bytes);
        put(&[0; 4]);
        put(&length.to_le_bytes());
        put(&head.seq.to_le_bytes());
        put(&head.synced.to_le_bytes());
        put(&head.part.to_le_bytes());
        put(&[head.kind as u8]);
    }
    if let Some(slot) = frame.first_chunk_mut() {
        *slot = header;
    }
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&seed(place));
    hasher.update(frame.get(4..).unwrap_or_default());
    let crc = hasher.finalize();
    if let Some(slot) = frame.first_chunk_mut() {
        *slot = crc.to_le_bytes();
    }
    buffer.resize(buffer.len().next_multiple_of(ALIGN), 0);
}

/// Returns the frame at the start of `bytes`, if there is one for this place.
pub(crate) fn open(bytes: &[u8], place: Place) -> Option<Frame<'_>> {
    open_in(&mut Checksums::of(bytes), 0, place)
}

/// Returns the frame at `at`, if there is one for this place, in a constant number of steps for any
/// claimed length.
pub(crate) fn open_in<'a>(checksums: &mut Checksums<'a>, at: usize, place: Place) -> Option<Frame<'a>> {
    let bytes = checksums.bytes().get(at..)?;
    let mut header = bytes.get(..HEADER_LEN)?;
    let crc = header.get_u32_le();
    let length = usize::try_from(header.get_u32_le()).ok()?;
    let (seq, synced, part, kind) =
        (header.get_u64_le(), header.get_u64_le(), header.get_u32_le(), header.get_u8());
    // This cheap check rejects most non-frames; searches rely on it.
    let kind = Kind::ALL.into_iter().find(|known| *known as u8 == kind)?;
    if header != [0; 3] || synced > seq || seq > SEQ_MAX {
        return None;
    }
    let end = HEADER_LEN.checked_add(length)?;
    let body = bytes.get(HEADER_LEN..end)?;
    let is_sound = checksums.is(crc32fast::hash(&seed(place)), at + 4..at + end, crc);
    is_sound.then_some(Frame { head: Head { kind, seq, synced, part }, body })
}

/// Returns the start of a checksum's input.
fn seed(place: Place) -> [u8; 16] {
    let mut seed = [0; 16];
    if let Some((id, offset)) = seed.split_first_chunk_mut::<8>() {
        *id = place.segment.to_le_bytes();
        offset.copy_from_slice(&place.offset.to_le_bytes());
    }
    seed
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { segment: 3, offset: 4096 };
    const HEAD: Head = Head { kind: Kind::Whole, seq: 7, synced: 5, part: 0 };

    fn sealed(body: &[u8]) -> Vec<u8> {
        let mut buffer = Vec::new();
        let start = begin(&mut buffer);
        buffer.extend_from_slice(body);
        seal(&mut buffer, start, HEAD, PLACE);
        buffer
    }

    #[test]
    fn golden_bytes() {
        let frame = sealed(b"abc");
        let rest = b"\x03\0\0\0\x07\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0abc";
        assert_eq!(&frame[4..35], rest);
        assert_eq!(&frame[35..], [0; 5]);
        let mut covered = b"\x03\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0".to_vec();
        covered.extend_from_slice(rest);
        assert_eq!(frame[..4], crc32fast::hash(&covered).to_le_bytes());
        assert_eq!(frame[..4], [0x9c, 0x24, 0x85, 0x78], "frozen");
    }

    #[test]
    fn opens_what_it_sealed_and_nothing_else() {
        for length in 0..20 {
            let body: Vec<u8> = (0..length).collect();
            let frame = sealed(&body);
            let opened = open(&frame, PLACE).unwrap();
            assert_eq!(opened, Frame { head: HEAD, body: &body });
            assert_eq!(opened.len(), frame.len());
            for other in [Place { segment: 4, ..PLACE }, Place { offset: 4104, ..PLACE }] {
                assert_eq!(open(&frame, other), None, "a stale or misplaced block");
            }
            for bit in 0..(HEADER_LEN + body.len()) * 8 {
                let mut damaged = frame.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(open(&damaged, PLACE), None, "bit {bit}");
            }
            for cut in 0..HEADER_LEN + body.len() {
                assert_eq!(open(&frame[..cut], PLACE), None, "cut at {cut}");
            }
        }
        assert_eq!(open(&[0; 64], PLACE), None);
    }
}
