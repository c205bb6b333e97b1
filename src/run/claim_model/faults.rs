//! Faults that the checker must find.

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Fault {
    /// Writes of a run lack the precondition on the owner.
    NoFence,
    /// Claims lack the precondition on the owner.
    BlindSwap,
    /// Claims lack the precondition on the status.
    StaleStatus,
    /// A run measures its life from the answer to its last write, claimers from when it was sent.
    LateDeadline,
    /// A claim sends its first heartbeat after the commit, not before.
    LatePulse,
    /// A write sends its heartbeat after the commit, not before.
    LateSign,
    /// An owner always counts as alive.
    Immortal,
}
