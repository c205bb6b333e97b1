//! Faults that the checker must find.

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Fault {
    /// Writes of a run lack the precondition on the owner.
    NoFence,
    /// A run counts itself alive for the whole time of its lease, without a margin for a clock
    /// slower than etcd's.
    NoMargin,
    /// A run measures its life from the answers to its writes and renewals, not from when it sent
    /// them.
    LateDeadline,
    /// Claims query the owner's lease before they read the owner's writes.
    LeaseFirst,
    /// Claims lack the precondition on the status.
    StaleStatus,
    /// Claims do not query the owner's lease.
    NoLease,
    /// A commit with a lost answer is retried without a slot.
    BlindRetry,
    /// A commit with a lost answer counts as refused.
    NoRetry,
    /// A waiting claimer allows an owner only its timeout, without a margin for a slow clock.
    HastyWaiter,
    /// A waiting claimer measures from when it first saw an owner, regardless of later writes.
    DeafWaiter,
    /// A lease never ends.
    Immortal,
}
