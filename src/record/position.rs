//! A position in the history of a store.
//!
//! A commit number identifies a commit only as long as programs write one after the other. If two
//! copies of a store are both written to, different commits get the same number. So each opening
//! draws a random number, its *epoch*, and the log records which opening wrote a commit, as Raft's
//! log records the term. Two histories with the same epoch at a commit are identical up to it.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU64;

/// A unique opening of a store for writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Epoch(NonZeroU64);

impl Epoch {
    /// Draws a new epoch.
    pub(crate) fn draw() -> Self {
        // Seeded by the system, so that programs that start alike draw different numbers.
        let mut draws = (0_u64..).map(|n| RandomState::new().hash_one(n));
        Self(draws.find_map(NonZeroU64::new).unwrap_or(NonZeroU64::MAX))
    }

    /// Returns its stored form; 0 stands for none.
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

/// The openings that can have written the newest commit of a log, as one of them recorded before
/// its first write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Writers {
    /// The opening that recorded this.
    pub(crate) own: Option<Epoch>,
    /// The epoch of the newest commit that it found.
    pub(crate) found: Option<Epoch>,
}

/// A commit, and the opening that wrote it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) seq: u64,
    /// `None` if unknown, because earlier versions did not record it.
    pub(crate) epoch: Option<Epoch>,
}

impl Position {
    pub(crate) const fn new(seq: u64, epoch: Option<Epoch>) -> Self {
        Self { seq, epoch }
    }

    /// Reports whether another opening than `other` is known to have written the commit of this
    /// number, so that the two histories differ.
    pub(crate) fn contradicts(self, other: Option<Epoch>) -> bool {
        matches!((self.epoch, other), (Some(one), Some(other)) if one != other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_are_unique() {
        let mut drawn: Vec<u64> = (0..1000).map(|_| Epoch::stored(Some(Epoch::draw()))).collect();
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), 1000);
        assert!(!drawn.contains(&0));
    }

    #[test]
    fn epochs_are_shown_as_sixteen_digits() {
        assert_eq!(Epoch::from_stored(0xBEEF).unwrap().to_string(), "000000000000beef");
    }

    #[test]
    fn unknown_epochs_contradict_nothing() {
        let [one, other] = [1, 2].map(Epoch::from_stored);
        assert_eq!((Epoch::from_stored(0), Epoch::stored(None)), (None, 0));
        assert!(Position::new(7, one).contradicts(other));
        assert!(!Position::new(7, one).contradicts(one));
        assert!(!Position::new(7, None).contradicts(one) && !Position::new(7, one).contradicts(None));
    }
}
