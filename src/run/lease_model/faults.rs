//! Faults that the checker must find.

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Fault {
    /// Writes of a run do not expect that it is the owner.
    NoFence,
    /// A run counts itself as alive as long as its lease is granted for: nothing is left for
    /// a clock that is slower than etcd's.
    NoMargin,
    /// A run counts its life from the answers to its writes and renewals, not from when it
    /// sent them.
    LateDeadline,
    /// Claims ask for the owner's lease before they read what it has written.
    LeaseFirst,
    /// Claims do not expect the status that they read.
    StaleStatus,
    /// Claims do not ask for the owner's lease.
    NoLease,
    /// A commit whose answer was lost is tried again without a slot.
    BlindRetry,
    /// A commit whose answer was lost counts as refused.
    NoRetry,
    /// A lease never ends.
    Immortal,
}
