//! CRC-32 of any part of some bytes, in a few steps however long the part is: for
//! searches that try what a length says at every offset.
//!
//! A checksum is a polynomial over GF(2), and what follows its bytes multiplies it:
//! crc(a b) = crc(a) · x^(8 · length of b) + crc(b). So with the checksums of all
//! beginnings every other one is a product away.

use std::ops::Range;
use std::sync::LazyLock;

use crc32fast::Hasher;

/// The polynomial of CRC-32 (IEEE), lowest bit first, without x^32.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// The polynomial 1.
const ONE: u32 = 1 << 31;

/// How far apart the beginnings are of which the checksum is kept.
const STEP: usize = 256;

/// Up to here a checksum is taken of the bytes themselves: that is as quick.
const SHORT: usize = 1024;

/// The checksums of some bytes.
#[derive(Debug)]
pub(crate) struct Checksums<'a> {
    bytes: &'a [u8],
    /// Of the beginnings of 0, `STEP`, 2 · `STEP`... bytes, as far as they were needed.
    marks: Vec<u32>,
}

impl<'a> Checksums<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, marks: vec![0] }
    }

    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The checksum of the first `end` bytes.
    pub(crate) fn up_to(&mut self, end: usize) -> u32 {
        let mark = end / STEP;
        while self.marks.len() <= mark {
            let at = (self.marks.len() - 1) * STEP;
            self.marks.push(followed(self.last_mark(), self.part(at..at + STEP)));
        }
        let known = self.marks.get(mark).copied().unwrap_or_default();
        followed(known, self.part(mark * STEP..end))
    }

    /// The checksum of what comes before this part, if both together have `whole`.
    pub(crate) fn before(&mut self, part: Range<usize>, whole: u32) -> u32 {
        // crc(part) is the end's checksum without the start's: what is asked for is
        // (whole - crc(part)) / x^n = (whole - end - start · x^n) / x^n.
        let (start, end) = (self.up_to(part.start), self.up_to(part.end));
        without_zeros(whole ^ end, part.len()) ^ start
    }

    /// Whether what has the checksum `before` and this part together have `whole`.
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

/// The checksum of what has the checksum `crc` and then `rest`.
fn followed(crc: u32, rest: &[u8]) -> u32 {
    let mut hasher = Hasher::new_with_initial(crc);
    hasher.update(rest);
    hasher.finalize()
}

/// `crc` / x^(8 · `bytes`): undoes what as many bytes behind it make of a checksum.
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
