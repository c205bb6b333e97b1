//! Keys that stand right before an envelope and are known from nowhere else.

use std::collections::HashMap;

use bytes::Bytes;

use crate::crc::{Checksums, without_zeros};
use crate::record::{KEYSPACE, Key};

/// The longest key: two escaped names of a kilobyte and what stands around them.
pub(super) const KEY_BYTES_MAX: usize = 4 << 10;

/// Where keys may begin. Asked for one place after another, from the first on.
///
/// What begins at s and ends at e has a checksum that the checksums up to s and up to e
/// tell. Solved for s, this is an equation between what s alone and what e alone and the
/// checksum tell: so a look into a map answers which beginning fits.
#[derive(Debug, Default)]
pub(super) struct KeyStarts {
    /// The last of each.
    places: HashMap<u32, usize>,
    /// How far they are in the map.
    until: usize,
}

impl KeyStarts {
    /// The shortest key with the checksum `wanted` that ends at `end`.
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
