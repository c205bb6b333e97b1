//! Searches a segment for frames. Other bytes cost little, whatever length they claim.

use crate::crc::Checksums;
use crate::engine::durable::wal::format::PAGE;
use crate::engine::durable::wal::format::{ALIGN, Frame, Place, frame};

#[derive(Debug)]
pub(crate) struct Frames<'a> {
    segment: u64,
    checksums: Checksums<'a>,
}

impl<'a> Frames<'a> {
    /// Searches `bytes`, the file of a segment.
    pub(crate) fn of(bytes: &'a [u8], segment: u64) -> Self {
        Self { segment, checksums: Checksums::of(bytes) }
    }

    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.checksums.bytes()
    }

    /// Returns the frame at this offset, if there is one.
    pub(crate) fn at(&mut self, at: usize) -> Option<Frame<'a>> {
        let place = Place { segment: self.segment, offset: at as u64 };
        frame::open_in(&mut self.checksums, at, place)
    }

    /// Returns the first frame from this offset on, with its offset.
    pub(crate) fn first_from(&mut self, mut at: usize) -> Option<(usize, Frame<'a>)> {
        while at < self.bytes().len() {
            match self.at(at) {
                Some(frame) => return Some((at, frame)),
                None => at += if is_empty_page(self.bytes(), at) { PAGE } else { ALIGN },
            }
        }
        None
    }

    /// Returns all frames from this offset on.
    pub(crate) fn from(&mut self, mut at: usize) -> impl Iterator<Item = (usize, Frame<'a>)> {
        std::iter::from_fn(move || {
            let (here, frame) = self.first_from(at)?;
            at = here + frame.len();
            Some((here, frame))
        })
    }
}

/// Reports whether nothing was ever written there, as in most of a new segment.
fn is_empty_page(bytes: &[u8], at: usize) -> bool {
    const EMPTY: [u8; PAGE] = [0; PAGE];
    bytes.get(at..at + PAGE) == Some(EMPTY.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::durable::wal::format::{Head, Kind};

    const HEAD: Head = Head { kind: Kind::Whole, seq: 7, synced: 5, part: 0 };

    fn sealed(body: &[u8], at: usize) -> Vec<u8> {
        let mut buffer = Vec::new();
        let start = frame::begin(&mut buffer);
        buffer.extend_from_slice(body);
        frame::seal(&mut buffer, start, HEAD, Place { segment: 3, offset: at as u64 });
        buffer
    }

    /// Reading each of them to its end would take hours.
    #[test]
    fn frames_with_large_lengths_cost_little() {
        let mut fake = sealed(b"", 1);
        fake[4..8].copy_from_slice(&(8_u32 << 20).to_le_bytes());
        let mut bytes = fake.repeat((8 << 20) / fake.len());
        let mut expected = Vec::new();
        for length in [0, 100, 1000, 3000, 100_000] {
            let body: Vec<u8> = (0..length).map(|n| n as u8).collect();
            expected.push((bytes.len(), body.clone()));
            bytes.extend(sealed(&body, bytes.len()));
            bytes.extend(fake.repeat(50));
        }
        bytes.resize(17 << 20, 0);
        let mut frames = Frames::of(&bytes, 3);
        let found: Vec<_> = frames.from(PAGE).map(|(at, frame)| (at, frame.body.to_vec())).collect();
        assert!(found == expected, "{} frames", found.len());
        assert_eq!(Frames::of(&bytes, 4).from(PAGE).count(), 0, "another segment");
    }
}
