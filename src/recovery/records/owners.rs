//! The rule that each process has an owner record as its first record: without it the others are
//! not found.

use crate::record::{Address, Slot};

/// Checks the records of a store in order.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    /// The process of the previous record.
    process: Option<String>,
}

impl Owners {
    /// Reports whether this is the first record of its process but not an owner record.
    pub(crate) fn is_missing_before(&mut self, address: &Address) -> bool {
        if self.process.as_deref() == Some(&address.process) {
            return false;
        }
        self.process = Some(address.process.clone());
        address.slot != Slot::Owner
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_record_of_a_process_must_be_its_owner_record() {
        let mut owners = Owners::default();
        let mut is_missing = |process: &str, slot: Slot| {
            owners.is_missing_before(&Address { process: process.to_owned(), slot })
        };
        assert!(!is_missing("a", Slot::Owner) && !is_missing("a", Slot::Status));
        assert!(is_missing("b", Slot::Settings) && !is_missing("b", Slot::Status));
        assert!(!is_missing("c", Slot::Owner));
    }
}
