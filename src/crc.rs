//! CRC-32 of any slice of a buffer in a constant number of steps. Searches use it to test the
//! length field at every offset.
//!
//! A CRC is a polynomial over GF(2), and appending bytes multiplies it: crc(a b) = crc(a) · x^(8 ·
//! length of b) + crc(b). Given the checksums of all prefixes, the checksum of any slice takes one
//! multiplication.

use std::ops::Range;
use std::sync::LazyLock;

use crc32fast::Hasher;

/// The polynomial of CRC-32 (IEEE), lowest bit first, without x^32.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// The polynomial 1.
const ONE: u32 = 1 << 31;

/// The distance between two prefixes whose checksums are stored.
const STEP: usize = 256;

/// Slices up to this length are checksummed directly, which is as fast.
const SHORT: usize = 1024;

/// The checksums of a buffer.
#[derive(Debug)]
pub(crate) struct Checksums<'a> {
    bytes: &'a [u8],
    /// Checksums of the prefixes of 0, `STEP`, 2 · `STEP`... bytes, computed on demand.
    marks: Vec<u32>,
}

impl<'a> Checksums<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, marks: vec![0] }
    }

    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Returns the checksum of the first `end` bytes.
    pub(crate) fn up_to(&mut self, end: usize) -> u32 {
        let mark = end / STEP;
        while self.marks.len() <= mark {
            let at = (self.marks.len() - 1) * STEP;
            self.marks.push(followed(self.last_mark(), self.part(at..at + STEP)));
        }
        let known = self.marks.get(mark).copied().unwrap_or_default();
        followed(known, self.part(mark * STEP..end))
    }

    /// Returns the checksum of the bytes before `part`, given that both together have checksum
    /// `whole`.
    pub(crate) fn before(&mut self, part: Range<usize>, whole: u32) -> u32 {
        // crc(part) = end - start · x^n, so the checksum sought is (whole - crc(part)) / x^n =
        // (whole - end + start · x^n) / x^n.
        let (start, end) = (self.up_to(part.start), self.up_to(part.end));
        without_zeros(whole ^ end, part.len()) ^ start
    }

    /// Reports whether bytes with checksum `before` followed by `part` have checksum `whole`.
    pub(crate) fn is(&mut self, before: u32, part: Range<usize>, whole: u32) -> bool {
        if part.len() <= SHORT {
            return followed(before, self.part(part)) == whole;
        }
        self.before(part, whole) == before
    }

    fn part(&self, range: Range<usize>) -> &'a [u8] {
        self.bytes.get(range).unwrap_or_default()
    }

    fn last_mark(&self) -> u32 {
        self.marks.last().copied().unwrap_or_default()
    }
}

/// Returns the checksum of bytes with checksum `crc` followed by `rest`.
fn followed(crc: u32, rest: &[u8]) -> u32 {
    let mut hasher = Hasher::new_with_initial(crc);
    hasher.update(rest);
    hasher.finalize()
}

/// Returns `crc` / x^(8 · `bytes`), which undoes the effect of appending that many bytes.
pub(crate) fn without_zeros(crc: u32, bytes: usize) -> u32 {
    let digits = bytes.to_le_bytes().into_iter().map(usize::from);
    let powers = digits.zip(&*POWERS).filter(|(digit, _)| *digit != 0);
    powers.fold(crc, |crc, (digit, powers)| product(crc, powers.get(digit).copied().unwrap_or(ONE)))
}

/// x^-(8 · digit · 256^place), by place and digit.
static POWERS: LazyLock<[[u32; 256]; size_of::<usize>()]> = LazyLock::new(|| {
    let mut factor = (0..8).fold(ONE, |crc, _| by_x(crc));
    std::array::from_fn(|_| {
        let mut next = ONE;
        let powers = std::array::from_fn(|_| {
            let power = next;
            next = product(power, factor);
            power
        });
        factor = next;
        powers
    })
});

/// a / x modulo the polynomial, which ends in 1.
fn by_x(a: u32) -> u32 {
    if a & ONE == 0 { a << 1 } else { (a ^ POLYNOMIAL) << 1 | 1 }
}

/// a · b modulo the polynomial.
fn product(a: u32, b: u32) -> u32 {
    let step = |(sum, b): (u32, u32), bit: u32| {
        let has = (a >> bit & 1).wrapping_neg();
        (sum ^ (b & has), b >> 1 ^ (POLYNOMIAL & (b & 1).wrapping_neg()))
    };
    (0..32).rev().fold((0, b), step).0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_checksums_are_those_of_the_bytes(
            bytes in proptest::collection::vec(any::<u8>(), 0..5000),
            ends in proptest::collection::vec((any::<usize>(), any::<usize>()), 1..10),
            key in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut checksums = Checksums::of(&bytes);
            for (a, b) in ends {
                let (a, b) = (a % (bytes.len() + 1), b % (bytes.len() + 1));
                let part = a.min(b)..a.max(b);
                prop_assert_eq!(checksums.up_to(a), crc32fast::hash(&bytes[..a]));
                let before = crc32fast::hash(&key);
                let whole = crc32fast::hash(&[&key, &bytes[part.clone()]].concat());
                prop_assert_eq!(checksums.before(part.clone(), whole), before);
                prop_assert!(checksums.is(before, part.clone(), whole));
                prop_assert!(!checksums.is(before ^ 1, part.clone(), whole));
                prop_assert!(!checksums.is(before, part, whole ^ 1));
            }
        }
    }

    #[test]
    fn zeros_of_any_number_are_undone() {
        for zeros in [0, 1, 255, 256, 257, 65_535, 65_536, 1 << 20, 3_000_001] {
            let with = crc32fast::hash(&vec![0; zeros]);
            assert_eq!(without_zeros(with ^ followed(0x1234_5678, &vec![0; zeros]), zeros), 0x1234_5678);
        }
    }
}
