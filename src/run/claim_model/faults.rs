//! Faults that the checker must find.

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Fault {
    /// Writes of a run do not expect that it is the owner.
    NoFence,
    /// Claims do not expect the owner that they read.
    BlindSwap,
    /// Claims do not expect the status that they read.
    StaleStatus,
    /// A run counts its life from the answer to its last write, claimers from when it was
    /// sent.
    LateDeadline,
    /// A claim shows life once it is committed, not before.
    LatePulse,
    /// A write shows life once it is committed, not before.
    LateSign,
    /// Whatever the time, an owner shows life.
    Immortal,
}
