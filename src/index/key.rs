//! The keys of sled's tree.

/// The prefix of the contents record's key.
pub(super) const META: u8 = 0;
/// The prefix of the keys of records.
pub(super) const RECORD: u8 = 1;
/// The prefix of the keys of chunks of large records.
pub(super) const CHUNK: u8 = 2;

pub(super) fn record_key(key: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(key.len() + 1);
    bytes.push(RECORD);
    bytes.extend_from_slice(key);
    bytes
}
