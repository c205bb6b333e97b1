//! The keys of sled's tree.

/// Leads the key of the contents record.
pub(super) const META: u8 = 0;
/// Leads the keys of records.
pub(super) const RECORD: u8 = 1;
/// Leads the keys of the parts of large records.
pub(super) const CHUNK: u8 = 2;

pub(super) fn record_key(key: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(key.len() + 1);
    bytes.push(RECORD);
    bytes.extend_from_slice(key);
    bytes
}
