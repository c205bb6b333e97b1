//! CRC-32 backwards: what the checksum of the beginning was.

/// The polynomial of CRC-32 (IEEE), lowest bit first.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// What each highest byte of a checksum came from.
#[derive(Debug)]
pub(super) struct Unhash {
    table: [u32; 256],
}

impl Unhash {
    pub(super) fn new() -> Self {
        let mut table = [0; 256];
        for (byte, entry) in (0_u32..).zip(&mut table) {
            *entry =
                (0..8).fold(
                    byte << 24,
                    |crc, _| {
                        if crc >> 31 == 0 { crc << 1 } else { (crc ^ POLYNOMIAL) << 1 | 1 }
                    },
                );
        }
        Self { table }
    }

    /// The checksum that a key has if it and `rest` together have the checksum `crc`.
    pub(super) fn key(&self, crc: u32, rest: &[u8]) -> u32 {
        // crc(key rest) = zeros(crc(key), length of rest) ^ crc(rest), where `zeros` runs
        // as many zero bytes through. That step is undone here.
        rest.iter().fold(crc ^ crc32fast::hash(rest), |crc, _| {
            let [.., highest] = crc.to_le_bytes();
            (crc << 8) ^ self.table.get(usize::from(highest)).copied().unwrap_or_default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_checksum_of_the_beginning(
            key in proptest::collection::vec(any::<u8>(), 0..40),
            rest in proptest::collection::vec(any::<u8>(), 0..400),
        ) {
            let crc = crc32fast::hash(&[key.clone(), rest.clone()].concat());
            prop_assert_eq!(Unhash::new().key(crc, &rest), crc32fast::hash(&key));
        }
    }
}
