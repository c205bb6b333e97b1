//! A place in the history of a store.
//!
//! The number of a commit says which one it is as long as one program writes after the
//! other. Copies of a store may each be written to, and then there are two commits of the
//! same number. So each opening draws a number of its own, its *epoch*, and the log says by
//! which opening a commit was written, as the log of Raft says in which term. Two histories
//! that have the same epoch at a commit are the same up to there.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU64;

/// An opening of a store for writing. No two have the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Epoch(NonZeroU64);

impl Epoch {
    /// A new one.
    pub(crate) fn draw() -> Self {
        // Seeded by the system: two programs that start alike must not draw alike.
        let mut draws = (0_u64..).map(|n| RandomState::new().hash_one(n));
        Self(draws.find_map(NonZeroU64::new).unwrap_or(NonZeroU64::MAX))
    }

    /// As it is stored: 0 is none.
    pub(crate) fn stored(epoch: Option<Self>) -> u64 {
        epoch.map_or(0, |epoch| epoch.0.get())
    }

    pub(crate) fn from_stored(stored: u64) -> Option<Self> {
        NonZeroU64::new(stored).map(Self)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The openings that can have written the newest commit of a log, as one of them noted it
/// before it wrote any.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Writers {
    /// The opening that noted this.
    pub(crate) own: Option<Epoch>,
    /// That of the newest commit that it found.
    pub(crate) found: Option<Epoch>,
}

/// A commit, and by which opening it was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) seq: u64,
    /// `None` if that is not known: earlier versions did not note it.
    pub(crate) epoch: Option<Epoch>,
}

impl Position {
    pub(crate) const fn new(seq: u64, epoch: Option<Epoch>) -> Self {
        Self { seq, epoch }
    }

    /// Whether the commit of this number is known to have been written by another opening
    /// than `other`: then these are two histories.
    pub(crate) fn contradicts(self, other: Option<Epoch>) -> bool {
        matches!((self.epoch, other), (Some(one), Some(other)) if one != other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_epoch_is_drawn_twice() {
        let mut drawn: Vec<u64> = (0..1000).map(|_| Epoch::stored(Some(Epoch::draw()))).collect();
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), 1000);
        assert!(!drawn.contains(&0));
    }

    #[test]
    fn what_is_not_known_contradicts_nothing() {
        let [one, other] = [1, 2].map(Epoch::from_stored);
        assert_eq!((Epoch::from_stored(0), Epoch::stored(None)), (None, 0));
        assert!(Position::new(7, one).contradicts(other));
        assert!(!Position::new(7, one).contradicts(one));
        assert!(!Position::new(7, None).contradicts(one) && !Position::new(7, one).contradicts(None));
    }
}
