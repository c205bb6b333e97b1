//! The missing commits.

use std::fmt;

/// Commits that are in neither index, snapshot, nor log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingCommits {
    /// The first.
    pub first: u64,
    /// The last; `None` if their number is unknown, possibly zero.
    pub last: Option<u64>,
}

impl MissingCommits {
    pub(crate) const fn new(first: u64, last: Option<u64>) -> Self {
        Self { first, last }
    }
}

impl fmt::Display for MissingCommits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.last {
            Some(last) if last == self.first => write!(f, "commit {last}"),
            Some(last) => write!(f, "commits {} to {last}", self.first),
            None => write!(f, "everything from commit {} on", self.first),
        }
    }
}

/// The commits of a store that were found, and those that are missing, in order.
#[derive(Debug, Clone)]
pub(crate) struct Coverage {
    /// Everything up to this commit was found, or is recorded as missing.
    until: u64,
    /// The newest commit known to have been made.
    known: u64,
    missing: Vec<MissingCommits>,
}

impl Coverage {
    pub(super) fn from(until: u64) -> Self {
        Self { until, known: until, missing: Vec::new() }
    }

    /// Records that the commits after `after` up to `last` were found.
    pub(super) fn reach(&mut self, after: u64, last: u64) {
        if last > self.until {
            self.miss(after);
            self.until = last;
        }
    }

    /// Records that all commits up to `seq` are known to have been made.
    pub(super) fn is_known_up_to(&mut self, seq: u64) {
        self.known = self.known.max(seq);
    }

    /// Ends the search.
    ///
    /// `is_unknown` means that further commits may be missing.
    pub(super) fn end(&mut self, is_unknown: bool) {
        self.miss(self.known);
        if is_unknown {
            self.missing.push(MissingCommits::new(self.until + 1, None));
        }
    }

    fn miss(&mut self, until: u64) {
        if until > self.until {
            self.missing.push(MissingCommits::new(self.until + 1, Some(until)));
            self.until = until;
        }
    }

    /// Records that the commit `seq` was found but is unusable.
    pub(crate) fn lose(&mut self, seq: u64) {
        if !self.is_missing(seq) {
            self.missing.push(MissingCommits::new(seq, Some(seq)));
            self.missing.sort_unstable_by_key(|range| range.first);
        }
    }

    /// Returns the last commit that was found or is missing.
    pub(crate) fn until(&self) -> u64 {
        self.until
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    pub(crate) fn is_missing(&self, seq: u64) -> bool {
        self.missing.iter().any(|range| range.first <= seq && range.last.is_none_or(|last| seq <= last))
    }

    /// Reports whether a missing commit may have changed or deleted a write of the commit `seq`.
    pub(crate) fn is_before_some(&self, seq: u64) -> bool {
        self.missing.iter().any(|range| range.last.is_none_or(|last| seq < last))
    }

    pub(crate) fn missing(&self) -> &[MissingCommits] {
        &self.missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_not_found_are_missing() {
        let text = |is_unknown: bool| {
            let mut coverage = Coverage::from(10);
            coverage.is_known_up_to(18);
            [(7, 8), (10, 12), (14, 16)].into_iter().for_each(|(after, last)| coverage.reach(after, last));
            coverage.end(is_unknown);
            assert!(!coverage.is_complete() && coverage.until() == 18);
            let missing: Vec<u64> = (0..30).filter(|seq| coverage.is_missing(*seq)).collect();
            assert!(coverage.is_before_some(17) && coverage.is_before_some(18) == is_unknown);
            assert!(missing.starts_with(&[13, 14, 17, 18]) && (missing.len() > 4) == is_unknown);
            coverage.lose(13);
            coverage.lose(11);
            coverage.missing().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(text(false), "commit 11, commits 13 to 14, commits 17 to 18");
        assert_eq!(text(true), "commit 11, commits 13 to 14, commits 17 to 18, everything from commit 19 on");
    }
}
