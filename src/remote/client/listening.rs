//! The state of the subscription to the other program's commits.

/// The state of the subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listening {
    NotYet,
    Since,
}
