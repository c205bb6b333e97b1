//! Carving: records out of the bytes of any file, whatever is left of its structure.
//!
//! An envelope begins with a checksum over the key and all that follows. So it tells
//! what checksum its key has, and with that which of the known keys is its key: the
//! two need not stand together. Where a key is known from nowhere else it is looked for
//! right before the envelope, where archives have it.

mod unhash;

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::model::limits::RECORD_BYTES_MAX;
use crate::record::{self, ENVELOPE_HEADER_LEN, Key};
use unhash::Unhash;

/// How much of a file is in memory at once.
const WINDOW_BYTES: usize = 4 << 20;

/// The longest key: two escaped names of a kilobyte and what stands around them.
const KEY_BYTES_MAX: usize = 4 << 10;

const ENVELOPE_BYTES_MAX: usize = RECORD_BYTES_MAX + ENVELOPE_HEADER_LEN;

/// Called with each record: key, version, value.
pub(super) type Visitor<'a> = dyn FnMut(Key, u64, Bytes) + 'a;

/// Finds records in files.
#[derive(Debug)]
pub(super) struct Carver {
    /// By their checksum.
    keys: HashMap<u32, Vec<Key>>,
    unhash: Unhash,
}

impl Carver {
    pub(super) fn new() -> Self {
        Self { keys: HashMap::new(), unhash: Unhash::new() }
    }

    /// Makes a key known.
    pub(super) fn know(&mut self, key: &Key) {
        let known = self.keys.entry(crc32fast::hash(key.bytes())).or_default();
        if !known.contains(key) {
            known.push(key.clone());
        }
    }

    /// Visits every record in a file.
    pub(super) fn carve(&self, path: &Path, visit: &mut Visitor<'_>) -> Result<()> {
        let failed = |error| Error::io("read", path, error);
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let mut window = Vec::new();
        let mut start = 0;
        while start < length {
            // The keys before the first envelopes, and all of the last ones.
            let from = start.saturating_sub(KEY_BYTES_MAX as u64);
            let until = length.min(start + (WINDOW_BYTES + ENVELOPE_BYTES_MAX) as u64);
            window.resize(usize::try_from(until - from).unwrap_or(usize::MAX), 0);
            file.read_exact_at(&mut window, from).map_err(failed)?;
            let first = usize::try_from(start - from).unwrap_or(usize::MAX);
            self.carve_window(&window, first..first + WINDOW_BYTES, visit);
            start += WINDOW_BYTES as u64;
        }
        Ok(())
    }

    /// Visits the records whose envelopes begin in this range of `window`.
    fn carve_window(&self, window: &[u8], range: std::ops::Range<usize>, visit: &mut Visitor<'_>) {
        let mut at = range.start;
        while at < range.end && at < window.len() {
            at += match self.record_at(window, at) {
                Some((key, version, value)) => {
                    let length = value.len();
                    visit(key, version, value);
                    length
                }
                None => 1,
            };
        }
    }

    fn record_at(&self, window: &[u8], at: usize) -> Option<(Key, u64, Bytes)> {
        let head = record::Head::parse(window.get(at..)?)?;
        let value = window.get(at..at.checked_add(head.envelope_len())?)?;
        let wanted = self.unhash.key(head.crc, value.get(4..)?);
        let is_of_kind = |key: &Key| key.kind() == head.kind;
        let known = self.keys.get(&wanted).into_iter().flatten().find(|key| is_of_kind(key));
        let key = known.cloned().or_else(|| key_before(window, at, wanted).filter(is_of_kind))?;
        let value = Bytes::copy_from_slice(value);
        let (version, _) = record::open(&key, &value).ok()?;
        Some((key, version, value))
    }
}

/// The key with the checksum `wanted` that ends at `at`.
fn key_before(window: &[u8], at: usize, wanted: u32) -> Option<Key> {
    let from = at.saturating_sub(KEY_BYTES_MAX);
    let starts = (from..at).rev().filter(|start| window.get(*start) == Some(&record::KEYSPACE));
    let mut candidates = starts.filter_map(|start| window.get(start..at));
    let bytes = candidates.find(|bytes| crc32fast::hash(bytes) == wanted)?;
    Key::from_bytes(Bytes::copy_from_slice(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::List;

    fn keys() -> Vec<Key> {
        let item = |n: usize| Key::item("a process", List::Active, &format!("w{n}"));
        (0..40).map(item).chain([Key::owner("a process"), Key::history("x", 3, 4, 5)]).collect()
    }

    fn carved(carver: &Carver, bytes: &[u8]) -> Vec<(Key, u64)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, bytes).unwrap();
        let mut found = Vec::new();
        carver.carve(&path, &mut |key, version, _| found.push((key, version))).unwrap();
        found
    }

    fn noise(bytes: usize) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(7);
        std::iter::repeat_with(|| random.u8(..)).take(bytes).collect()
    }

    #[test]
    fn finds_values_of_known_keys_wherever_they_are() {
        let mut carver = Carver::new();
        keys().iter().for_each(|key| carver.know(key));
        let mut bytes = noise(1000);
        for (n, key) in keys().iter().enumerate() {
            bytes.extend(record::seal(key, n as u64, &noise(n * 10)));
            bytes.extend(noise(n));
        }
        let expected: Vec<_> = keys().into_iter().zip(0..).collect();
        assert_eq!(carved(&carver, &bytes), expected);
        assert_eq!(carved(&Carver::new(), &bytes), [], "nobody knows the keys");
    }

    #[test]
    fn finds_keys_before_their_values_and_across_windows() {
        let mut bytes = noise(WINDOW_BYTES - 300);
        for (n, key) in keys().iter().enumerate() {
            bytes.extend_from_slice(key.bytes());
            bytes.extend(record::seal(key, n as u64, b"a payload"));
        }
        let large = Key::settings("p");
        bytes.extend_from_slice(large.bytes());
        bytes.extend(record::seal(&large, 99, &noise(RECORD_BYTES_MAX)));
        let expected: Vec<_> = keys().into_iter().zip(0..).chain([(large, 99)]).collect();
        assert_eq!(carved(&Carver::new(), &bytes), expected);
    }

    #[test]
    fn finds_nothing_where_a_bit_is_flipped() {
        let key = Key::owner("p");
        let sound = [key.bytes(), &record::seal(&key, 3, b"payload")[..]].concat();
        assert_eq!(carved(&Carver::new(), &sound), [(key, 3)]);
        for bit in 0..sound.len() * 8 {
            let mut damaged = sound.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(carved(&Carver::new(), &damaged), [], "bit {bit}");
        }
    }
}
