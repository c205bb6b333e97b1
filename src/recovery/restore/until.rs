//! The moment to which a store is restored.

use jiff::Timestamp;

/// The moment to which a store is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// The newest commit.
    End,
    /// The commit with this sequence number.
    Seq(u64),
    /// The last commit before the first one after this time.
    Time(Timestamp),
}
