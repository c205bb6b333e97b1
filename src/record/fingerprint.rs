//! The fingerprint of a record. The sums of fingerprints of two collections are equal if they hold
//! the same records in any order.

/// Returns the crc32 of the length of the key, the key and the value.
pub(crate) fn fingerprint(key: &[u8], value: &[u8]) -> u64 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&(key.len() as u64).to_le_bytes());
    hasher.update(key);
    hasher.update(value);
    u64::from(hasher.finalize())
}
