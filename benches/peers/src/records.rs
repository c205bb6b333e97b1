//! What every peer stores: the records of procstate, in as many bytes.
//!
//! A process has an owner, a status and items. An update changes an item and the status; both
//! carry counters, by which the kill test sees what survived.

/// Bytes of an item and of a status. procstate's own are within a few bytes of this.
pub const VALUE_BYTES: usize = 104;

/// An update, numbered from 1: item after item, and round again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub item: usize,
    /// How often this item has been updated, with this one.
    pub of_item: u64,
    /// How often any has: what the status counts.
    pub total: u64,
}

impl Step {
    pub fn new(total: u64, items: usize) -> Self {
        let (rounds, item) = ((total - 1) / items as u64, (total - 1) % items as u64);
        Self { item: item as usize, of_item: rounds + 1, total }
    }
}

/// What is stored of a process, as the kill test asks for it.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    pub owner: String,
    pub total: u64,
    pub of_items: Vec<u64>,
}

pub fn process_name(process: usize) -> String {
    format!("process-{process:04}")
}

pub fn item_name(item: usize) -> String {
    format!("project-{item:07}")
}

/// A value that counts: the counter, and then what the other fields would take.
pub fn value(counter: u64) -> [u8; VALUE_BYTES] {
    const FIELDS: &[u8] = b"modified=1700000000.123 keysPerAccount=8 region=eu state=ACTIVE keysRemoved=1.0 started=1700000000.456";
    let mut value = [b' '; VALUE_BYTES];
    value[..8].copy_from_slice(&counter.to_le_bytes());
    value[8..].copy_from_slice(&FIELDS[..VALUE_BYTES - 8]);
    value
}

/// The counter of a [`value`].
pub fn counter(value: &[u8]) -> u64 {
    value.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_go_round() {
        assert_eq!(Step::new(1, 3), Step { item: 0, of_item: 1, total: 1 });
        assert_eq!(Step::new(6, 3), Step { item: 2, of_item: 2, total: 6 });
        assert_eq!(Step::new(7, 3), Step { item: 0, of_item: 3, total: 7 });
    }

    #[test]
    fn a_value_counts() {
        assert_eq!(counter(&value(12_345)), 12_345);
    }
}
