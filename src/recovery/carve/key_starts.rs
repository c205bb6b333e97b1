//! Finds keys that directly precede an envelope and are known from nowhere else.

use std::collections::HashMap;

use bytes::Bytes;

use crate::crc::{Checksums, without_zeros};
use crate::record::{KEYSPACE, Key};

/// The maximum length of a key: two escaped names of a kilobyte, and the rest.
pub(super) const KEY_BYTES_MAX: usize = 4 << 10;

/// Finds the start of a key.
///
/// Called for ascending positions.
///
/// The checksum of the bytes from s to e follows from the prefix checksums of s and e. Solved for
/// s, this is an equation between a value of s alone and a value of e and the wanted checksum, so
/// that one map lookup finds the matching start.
#[derive(Debug, Default)]
pub(super) struct KeyStarts {
    /// The last position of each value.
    places: HashMap<u32, usize>,
    /// The end of the positions in the map.
    until: usize,
}

impl KeyStarts {
    /// Returns the shortest key with the checksum `wanted` that ends at `end`.
    pub(super) fn key(&mut self, checksums: &mut Checksums<'_>, end: usize, wanted: u32) -> Option<Key> {
        let bytes = checksums.bytes();
        let first = end.saturating_sub(KEY_BYTES_MAX);
        for start in self.until.max(first)..end {
            if bytes.get(start) == Some(&KEYSPACE) {
                self.places.insert(without_zeros(checksums.up_to(start), start), start);
            }
        }
        self.until = end;
        if self.places.len() > 2 * KEY_BYTES_MAX {
            self.places.retain(|_, start| *start >= first);
        }
        let fits = without_zeros(checksums.up_to(end) ^ wanted, end);
        let start = self.places.get(&fits).copied().filter(|start| *start >= first)?;
        Key::from_bytes(Bytes::copy_from_slice(bytes.get(start..end)?))
    }
}
