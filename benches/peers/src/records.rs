//! What every peer stores: the records of procstate, in as many bytes.
//!
//! A process has an owner, settings, a status and items. An update changes an item and the
//! status; both carry counters, by which the kill test sees what survived.

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub owner: String,
    pub total: u64,
    pub of_items: Vec<u64>,
}

impl Found {
    /// Whether the items are as the status counts them: each update is there in both or in
    /// neither.
    pub fn agrees(&self) -> bool {
        self.of_items == counts(self.total, self.of_items.len())
    }
}

/// How often each item has been updated after `total` updates.
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

/// A name that no item has: not of this program, and not of one before it.
pub fn new_name(number: u64) -> String {
    format!("registered-{:07}-{number:08}", std::process::id())
}

/// A value that counts: the counter, and then what the other fields would take.
pub fn value(counter: u64) -> [u8; VALUE_BYTES] {
    const FIELDS: &[u8] =
        b"modified=1700000000.123 keysPerAccount=8 region=eu state=ACTIVE keysRemoved=1.0 started=1700000000.456";
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
