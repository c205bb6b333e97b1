//! The three lists of work items.

use std::fmt;

/// The list that a work item is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum List {
    /// To be processed.
    Active,
    /// To be cleaned up and then dropped.
    Cleanup,
    /// No longer active: a trace of earlier state.
    Dropped,
}

impl List {
    /// All lists, in the order of a run.
    pub const ALL: [Self; 3] = [Self::Active, Self::Cleanup, Self::Dropped];
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Cleanup => "cleanup",
            Self::Dropped => "dropped",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_named_in_the_order_of_a_run() {
        assert_eq!(List::ALL.map(|list| list.to_string()), ["active", "cleanup", "dropped"]);
    }
}
