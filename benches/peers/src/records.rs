//! The records of every peer: those of procstate, with the same sizes.
//!
//! A process has an owner, settings, a status and items. An update changes an item and the status;
//! both have counters that show the kill test what survived.

/// The size of an item and of a status in bytes. procstate's own are within a few bytes of this.
pub const VALUE_BYTES: usize = 104;

/// An update, numbered from 1, cycling through the items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub item: usize,
    /// The number of updates of this item, including this one.
    pub of_item: u64,
    /// The number of all updates, which the status counts.
    pub total: u64,
}

impl Step {
    pub fn new(total: u64, items: usize) -> Self {
        let (rounds, item) = ((total - 1) / items as u64, (total - 1) % items as u64);
        Self { item: item as usize, of_item: rounds + 1, total }
    }
}

/// The stored state of a process, as read by the kill test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub owner: String,
    pub total: u64,
    pub of_items: Vec<u64>,
}

impl Found {
    /// Reports whether the items agree with the status: each update is in both or in neither.
    pub fn agrees(&self) -> bool {
        self.of_items == counts(self.total, self.of_items.len())
    }
}

/// Returns the number of updates of each item after `total` updates.
pub fn counts(total: u64, items: usize) -> Vec<u64> {
    let all = items as u64;
    (0..all).map(|item| (total + all - 1 - item) / all).collect()
}

pub fn process_name(process: usize) -> String {
    format!("process-{process:04}")
}

pub fn item_name(item: usize) -> String {
    format!("project-{item:08}")
}

/// Returns a name that no item has, in this program or an earlier one.
pub fn new_name(number: u64) -> String {
    format!("registered-{:07}-{number:08}", std::process::id())
}

/// Returns a value with a counter, padded to the size of the other fields.
pub fn value(counter: u64) -> [u8; VALUE_BYTES] {
    const FIELDS: &[u8] =
        b"modified=1700000000.123 keysPerAccount=8 region=eu state=ACTIVE keysRemoved=1.0 started=1700000000.456";
    let mut value = [b' '; VALUE_BYTES];
    value[..8].copy_from_slice(&counter.to_le_bytes());
    value[8..].copy_from_slice(&FIELDS[..VALUE_BYTES - 8]);
    value
}

/// Returns the counter of a [`value`].
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
    fn counts_are_those_of_the_steps() {
        for total in 0..20 {
            let mut expected = [0; 3];
            for step in (1..=total).map(|number| Step::new(number, 3)) {
                expected[step.item] = step.of_item;
            }
            assert_eq!(counts(total, 3), expected, "after {total}");
        }
    }

    #[test]
    fn half_an_update_does_not_agree() {
        let whole = Found { owner: String::new(), total: 4, of_items: vec![2, 1, 1] };
        assert!(whole.agrees());
        assert!(!Found { total: 5, ..whole.clone() }.agrees());
        assert!(!Found { of_items: vec![2, 2, 1], ..whole }.agrees());
    }

    #[test]
    fn a_value_counts() {
        assert_eq!(counter(&value(12_345)), 12_345);
    }
}
