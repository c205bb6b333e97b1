//! Carving: recovers records from the bytes of any file, whatever is left of its structure.
//!
//! An envelope starts with a checksum over its key and everything that follows. It therefore
//! determines the checksum of its key, and with that which known key it belongs to: the two need
//! not be adjacent. A key that is known from nowhere else is searched directly before the envelope,
//! which is where archives have it.

mod key_starts;

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::Bytes;

use super::options::Meter;
use super::records::validate::found_record;
use crate::crc::Checksums;
use crate::error::{Error, Result};
use crate::model::limits::RECORD_BYTES_MAX;
use crate::record::{ENVELOPE_HEADER_LEN, Head, Key};
use key_starts::{KEY_BYTES_MAX, KeyStarts};

/// How much of a file is in memory at a time.
const WINDOW_BYTES: usize = 4 << 20;

const ENVELOPE_BYTES_MAX: usize = RECORD_BYTES_MAX + ENVELOPE_HEADER_LEN;

/// The number of payload bytes per window that may fail to decode.
///
/// Only forged data comes near: a checksum matches by chance once in four billion times.
const VAIN_BYTES_MAX: usize = 16 * WINDOW_BYTES;

/// A callback for each record: key, version, value.
pub(super) type Visitor<'a> = dyn FnMut(Key, u64, Bytes) + 'a;

/// Finds records in files.
#[derive(Debug)]
pub(super) struct Carver {
    /// Known keys by checksum.
    keys: HashMap<u32, Vec<Key>>,
}

impl Carver {
    pub(super) fn new() -> Self {
        Self { keys: HashMap::new() }
    }

    /// Adds a known key.
    pub(super) fn know(&mut self, key: &Key) {
        // Hardly two in a million keys share a checksum.
        let known = self.keys.entry(crc32fast::hash(key.bytes())).or_insert_with(|| Vec::with_capacity(1));
        if !known.contains(key) {
            known.push(key.clone());
        }
    }

    /// Visits every record in a file.
    ///
    /// Files that are not regular have none.
    pub(super) fn carve(&self, path: &Path, meter: &Meter<'_>, visit: &mut Visitor<'_>) -> Result<()> {
        let failed = |error| Error::io("read", path, error);
        // Checked before opening: reading a pipe would block.
        if !std::fs::metadata(path).map_err(failed)?.is_file() {
            return Ok(());
        }
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let mut bytes = Vec::new();
        let mut start = 0;
        while start < length {
            // Includes the keys before the first envelopes and the whole last ones.
            let from = start.saturating_sub(KEY_BYTES_MAX as u64);
            let until = length.min(start + (WINDOW_BYTES + ENVELOPE_BYTES_MAX) as u64);
            bytes.resize(usize::try_from(until - from).unwrap_or(usize::MAX), 0);
            file.read_exact_at(&mut bytes, from).map_err(failed)?;
            let first = usize::try_from(start - from).unwrap_or(usize::MAX);
            Window::of(self, &bytes).carve(first..first + WINDOW_BYTES, visit);
            meter.add((length - start).min(WINDOW_BYTES as u64));
            start += WINDOW_BYTES as u64;
        }
        Ok(())
    }

    /// Returns the known key of this kind and checksum; among several the one that `before` ends
    /// with, since the checksum alone is ambiguous.
    fn known(&self, checksum: u32, head: Head, before: &[u8]) -> Option<&Key> {
        let mut keys = self.keys.get(&checksum)?.iter().filter(|key| key.kind() == head.kind);
        match (keys.next(), keys.next()) {
            (Some(first), Some(second)) => {
                [first, second].into_iter().chain(keys).find(|key| before.ends_with(key.bytes()))
            }
            (only, _) => only,
        }
    }
}

/// A part of a file.
#[derive(Debug)]
struct Window<'a> {
    carver: &'a Carver,
    checksums: Checksums<'a>,
    starts: KeyStarts,
    /// The remaining budget of bytes that fail to decode.
    vain_bytes: usize,
}

impl<'a> Window<'a> {
    fn of(carver: &'a Carver, bytes: &'a [u8]) -> Self {
        let checksums = Checksums::of(bytes);
        Self { carver, checksums, starts: KeyStarts::default(), vain_bytes: VAIN_BYTES_MAX }
    }

    /// Visits the records whose envelopes start in this range.
    fn carve(&mut self, range: std::ops::Range<usize>, visit: &mut Visitor<'_>) {
        let mut at = range.start;
        while at < range.end && at < self.checksums.bytes().len() {
            at += match self.record_at(at) {
                Some((key, version, value)) => {
                    let length = value.len();
                    visit(key, version, value);
                    length
                }
                None => 1,
            };
        }
    }

    fn record_at(&mut self, at: usize) -> Option<(Key, u64, Bytes)> {
        let (before, rest) = self.checksums.bytes().split_at_checked(at)?;
        let head = Head::parse(rest)?;
        let value = rest.get(..head.envelope_len())?;
        let wanted = self.checksums.before(at + 4..at + value.len(), head.crc);
        let known = self.carver.known(wanted, head, before).cloned();
        let key = known.or_else(|| self.starts.key(&mut self.checksums, at, wanted))?;
        if key.kind() != head.kind || value.len() > self.vain_bytes {
            return None;
        }
        let value = Bytes::copy_from_slice(value);
        match found_record(key.bytes(), &value) {
            Some(record) => Some((key, record.version, value)),
            None => {
                self.vain_bytes -= value.len();
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
