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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_differ_in_the_key_the_value_and_the_border_between_them() {
        let records = [("", ""), ("a", ""), ("", "a"), ("ab", "c"), ("a", "bc"), ("ac", "b")];
        let mut sums = records.map(|(key, value)| fingerprint(key.as_bytes(), value.as_bytes())).to_vec();
        sums.sort_unstable();
        sums.dedup();
        assert_eq!(sums.len(), records.len(), "{sums:x?}");
    }

    #[test]
    fn golden_value() {
        let bytes = b"\x02\0\0\0\0\0\0\0abc";
        assert_eq!(fingerprint(b"ab", b"c"), u64::from(crc32fast::hash(bytes)));
    }
}
