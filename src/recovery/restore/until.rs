//! Up to where a store is restored.

use jiff::Timestamp;

/// Up to where a store is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// All that is there.
    End,
    /// The commit with this sequence number, and nothing after.
    Seq(u64),
    /// The last commit before the first that is later than this.
    Time(Timestamp),
}
