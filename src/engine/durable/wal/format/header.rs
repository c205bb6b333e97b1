//! The header of a segment, which is its first page: the store and segment it belongs to.
//!
//! ```text
//! offset  size
//!      0     8  "PSTATLOG"
//!      8     4  format, 2
//!     12     4  length of the segment
//!     16    16  id of the store
//!     32     8  id of the segment: a number that counts up in the upper half, a
//!               random one in the lower; each use of a file has a new id
//!     40     4  crc32 over bytes 0..40
//!     44     8  epoch of the commits that begin in the segment, up to a frame that
//!               names another; 0 if it is not known
//!     52     1  1 if the file was filled with zeroes for this segment
//!     53     3  zero
//!     56     4  crc32 over bytes 0..56
//!     60     -  zero, up to 4096
//! ```
//! Integers are little endian. A header of format 1 ends before the epoch. The header is durable
//! before the segment holds a frame, and has a page of its own, so that no write of a frame can
//! tear it.

use bytes::{Buf, BufMut};

use crate::record::Epoch;

pub(crate) const PAGE: usize = 4096;

const MAGIC: &[u8; 8] = b"PSTATLOG";
pub(crate) const FORMAT: u32 = 2;
/// The format without an epoch.
const FORMAT_1: u32 = 1;
const BODY_LEN: usize = 40;
/// The length of what format 2 adds, without its checksum.
const MORE_LEN: usize = 12;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) store: [u8; 16],
    pub(crate) segment: u64,
    pub(crate) segment_bytes: u32,
    /// The epoch of commits that begin in the segment; `None` if unknown.
    pub(crate) epoch: Option<Epoch>,
    /// Whether the file was new.
    pub(crate) is_fresh: bool,
}

/// The result of reading a page that should be a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opened {
    Header(Header),
    /// Not a header, or a damaged one.
    Nothing,
    /// A header written by a newer version.
    Newer(u32),
}

impl Header {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut page = Vec::with_capacity(PAGE);
        page.put_slice(MAGIC);
        page.put_u32_le(FORMAT);
        page.put_u32_le(self.segment_bytes);
        page.put_slice(&self.store);
        page.put_u64_le(self.segment);
        page.put_u32_le(crc32fast::hash(&page));
        page.put_u64_le(Epoch::stored(self.epoch));
        page.put_u32_le(self.is_fresh.into());
        page.put_u32_le(crc32fast::hash(&page));
        page.resize(PAGE, 0);
        page
    }

    /// Returns the possible ids of a damaged header: the one it shows, and those that differ from
    /// it in one byte.
    pub(crate) fn damaged_ids(page: &[u8]) -> Vec<u64> {
        let shown = page.get(32..BODY_LEN).and_then(|bytes| bytes.try_into().ok());
        let Some(shown) = shown.map(u64::from_le_bytes) else { return Vec::new() };
        let others = (0..8).flat_map(|byte| (1..=255_u64).map(move |bits| shown ^ (bits << (8 * byte))));
        std::iter::once(shown).chain(others).collect()
    }

    /// Reports whether at most one byte keeps this page from being a segment header of the store,
    /// ignoring id and length.
    pub(crate) fn is_nearly_of(page: &[u8], store: [u8; 16]) -> bool {
        let differing = |at: usize, expected: &[u8]| match page.get(at..at + expected.len()) {
            Some(found) => found.iter().zip(expected).filter(|(found, expected)| found != expected).count(),
            None => usize::MAX,
        };
        differing(0, MAGIC).saturating_add(differing(16, &store)) <= 1
    }

    pub(crate) fn decode(page: &[u8]) -> Opened {
        Self::parse(page).unwrap_or(Opened::Nothing)
    }

    fn parse(page: &[u8]) -> Option<Opened> {
        let (mut body, mut rest) = page.split_at_checked(BODY_LEN)?;
        if rest.try_get_u32_le().ok()? != crc32fast::hash(body) {
            return None;
        }
        body = body.strip_prefix(MAGIC)?;
        let format = body.get_u32_le();
        let (epoch, is_fresh) = match format {
            FORMAT_1 => (None, false),
            FORMAT => Self::parse_more(page)?,
            _ => return Some(Opened::Newer(format)),
        };
        let segment_bytes = body.get_u32_le();
        let (store, mut body) = body.split_first_chunk()?;
        let segment = body.get_u64_le();
        Some(Opened::Header(Self { store: *store, segment, segment_bytes, epoch, is_fresh }))
    }

    /// Parses what format 1 does not have.
    fn parse_more(page: &[u8]) -> Option<(Option<Epoch>, bool)> {
        let (checked, mut crc) = page.split_at_checked(BODY_LEN + 4 + MORE_LEN)?;
        if crc.try_get_u32_le().ok()? != crc32fast::hash(checked) {
            return None;
        }
        let mut more = checked.get(BODY_LEN + 4..)?;
        let epoch = Epoch::from_stored(more.get_u64_le());
        match more.get_u32_le() {
            0 => Some((epoch, false)),
            1 => Some((epoch, true)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        let epoch = Epoch::from_stored(0x0102);
        Header { store: *b"0123456789abcdef", segment: 9, segment_bytes: 1 << 22, epoch, is_fresh: true }
    }

    #[test]
    fn golden_bytes_and_every_flipped_bit() {
        let page = header().encode();
        assert_eq!(
            &page[..40],
            b"PSTATLOG\x02\0\0\0\0\0\x40\x000123456789abcdef\x09\0\0\0\0\0\0\0".as_slice()
        );
        assert_eq!(&page[40..44], crc32fast::hash(&page[..40]).to_le_bytes());
        assert_eq!(&page[44..56], b"\x02\x01\0\0\0\0\0\0\x01\0\0\0");
        assert_eq!(&page[56..60], crc32fast::hash(&page[..56]).to_le_bytes());
        assert_eq!((page.len(), &page[60..]), (PAGE, &[0; PAGE - 60][..]));
        assert_eq!(Header::decode(&page), Opened::Header(header()));
        for bit in 0..60 * 8 {
            let mut damaged = page.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&damaged), Opened::Nothing, "bit {bit}");
        }
        assert_eq!(Header::decode(&[]), Opened::Nothing);
    }

    /// A page of another format with a valid common checksum.
    fn of_format(format: u8) -> Vec<u8> {
        let mut page = header().encode();
        page[8] = format;
        page[44..60].fill(0);
        let crc = crc32fast::hash(&page[..40]);
        page[40..44].copy_from_slice(&crc.to_le_bytes());
        page
    }

    #[test]
    fn a_header_of_format_1_knows_no_epoch() {
        let expected = Header { epoch: None, is_fresh: false, ..header() };
        assert_eq!(Header::decode(&of_format(1)), Opened::Header(expected));
    }

    #[test]
    fn a_newer_format_is_not_damage() {
        assert_eq!(Header::decode(&of_format(3)), Opened::Newer(3));
    }
}
