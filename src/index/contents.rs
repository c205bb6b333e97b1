//! The contents record: commit, count and checksum of all records in the index, updated in the same
//! transaction as every change. Lost records, and records rolled back to an older version, show up
//! as a difference.

use super::guard::Fault;
use super::key::META;
use crate::record::{self, Epoch, Position};

/// The key of the contents record.
pub(super) const KEY: &[u8] = &[META, b'c'];

/// The error for a record that does not decode.
pub(super) const DAMAGED: Fault = Fault::Damaged("its contents record does not decode");

/// The length without the store id, as earlier versions wrote it.
const LEN_1: usize = 36;
/// The length without the epoch.
const LEN_2: usize = LEN_1 + 16;
const LEN_3: usize = LEN_2 + 8;

/// The sequence number of the last commit, and the count and sum of all records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) seq: u64,
    /// The epoch of this commit.
    pub(crate) epoch: Option<Epoch>,
    pub(crate) records: u64,
    /// The sum of the records' fingerprints, independent of their order.
    pub(crate) sum: u64,
    /// The newest set of chunks.
    pub(super) last_set: u64,
    /// The id of the store; `None` if an earlier version wrote the record.
    pub(crate) store: Option<[u8; 16]>,
}

impl Contents {
    /// Returns the last commit that the index includes.
    pub(crate) fn position(&self) -> Position {
        Position::new(self.seq, self.epoch)
    }

    pub(crate) fn set_position(&mut self, position: Position) {
        (self.seq, self.epoch) = (position.seq, position.epoch);
    }

    /// Sets the store id, if it is known.
    pub(super) fn of(self, store: Option<[u8; 16]>) -> Self {
        Self { store: store.or(self.store), ..self }
    }

    /// Returns the same contents without records, to sum them up again.
    pub(crate) fn emptied(self) -> Self {
        Self { records: 0, sum: 0, ..self }
    }

    pub(crate) fn add(&mut self, key: &[u8], value: &[u8]) {
        self.count(record::fingerprint(key, value));
    }

    /// Adds a record with this fingerprint.
    pub(super) fn count(&mut self, fingerprint: u64) {
        self.records = self.records.wrapping_add(1);
        self.sum = self.sum.wrapping_add(fingerprint);
    }

    pub(crate) fn remove(&mut self, key: &[u8], value: &[u8]) {
        self.records = self.records.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(record::fingerprint(key, value));
    }

    /// `seq records sum last_set [store [epoch]] crc32`, little endian.
    pub(super) fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LEN_3);
        for number in [self.seq, self.records, self.sum, self.last_set] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        if let Some(store) = self.store {
            bytes.extend(store);
            bytes.extend_from_slice(&Epoch::stored(self.epoch).to_le_bytes());
        }
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        if ![LEN_1, LEN_2, LEN_3].contains(&bytes.len()) {
            return None;
        }
        let (body, crc) = bytes.split_last_chunk()?;
        if u32::from_le_bytes(*crc) != crc32fast::hash(body) {
            return None;
        }
        let (seq, rest) = body.split_first_chunk()?;
        let (records, rest) = rest.split_first_chunk()?;
        let (sum, rest) = rest.split_first_chunk()?;
        let (last_set, rest) = rest.split_first_chunk()?;
        let (store, rest) = match rest.split_first_chunk() {
            Some((store, rest)) => (Some(*store), rest),
            None => (None, rest),
        };
        let epoch = rest.first_chunk().and_then(|epoch| Epoch::from_stored(u64::from_le_bytes(*epoch)));
        let [seq, records, sum, last_set] =
            [seq, records, sum, last_set].map(|number| u64::from_le_bytes(*number));
        Some(Self { seq, epoch, records, sum, last_set, store })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes_and_every_flipped_bit() {
        let store = Some(*b"0123456789abcdef");
        for (store, epoch) in [(None, None), (store, Epoch::from_stored(5)), (store, None)] {
            let contents = Contents { seq: 1, epoch, records: 2, sum: 3, last_set: 4, store };
            let bytes = contents.encode();
            let mut body = [1, 2, 3, 4].map(u64::to_le_bytes).concat();
            if let Some(store) = store {
                body.extend(store);
                body.extend(Epoch::stored(epoch).to_le_bytes());
            }
            assert_eq!((&bytes[..bytes.len() - 4], bytes.len()), (&body[..], body.len() + 4));
            assert_eq!(Contents::decode(&bytes), Some(contents));
            for bit in 0..bytes.len() * 8 {
                let mut damaged = bytes.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Contents::decode(&damaged), None, "bit {bit}");
            }
            assert_eq!(Contents::decode(&bytes[1..]), None);
        }
    }

    /// The format that earlier versions wrote.
    #[test]
    fn golden_bytes_without_an_epoch() {
        let body = [&[1, 2, 3, 4].map(u64::to_le_bytes).concat()[..], b"0123456789abcdef"].concat();
        let bytes = [&body[..], &crc32fast::hash(&body).to_le_bytes()].concat();
        let expected = Contents {
            seq: 1,
            records: 2,
            sum: 3,
            last_set: 4,
            epoch: None,
            store: Some(*b"0123456789abcdef"),
        };
        assert_eq!(Contents::decode(&bytes), Some(expected));
    }

    #[test]
    fn adding_and_removing_cancel_in_any_order() {
        let mut contents = Contents::default();
        contents.add(b"a", b"1");
        contents.add(b"b", b"2");
        contents.remove(b"a", b"1");
        contents.remove(b"b", b"2");
        assert_eq!(contents, Contents::default());
    }
}
