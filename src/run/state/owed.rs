//! Reported progress that waits to be written.

use std::time::Instant;

/// Progress that was reported but not written.
#[derive(Debug)]
pub(crate) struct Owed {
    pub(crate) written: Instant,
    pub(crate) is_owed: bool,
    /// Whether a thread is waiting to write it.
    pub(crate) has_payer: bool,
    /// Whether its write merged concurrent changes, which the run has yet to see.
    pub(crate) has_merged: bool,
}

impl Owed {
    /// Returns the state after a claim.
    pub(crate) fn nothing() -> Self {
        Self { written: Instant::now(), is_owed: false, has_payer: false, has_merged: false }
    }

    /// Records that everything was written.
    pub(crate) fn pay(&mut self) {
        self.is_owed = false;
        self.written = Instant::now();
    }
}
