//! Progress that a run has reported, and that waits to be written.

use std::time::Instant;

/// What a run has reported and not written.
#[derive(Debug)]
pub(crate) struct Owed {
    pub(crate) written: Instant,
    pub(crate) is_owed: bool,
    /// A thread sleeps that will write it.
    pub(crate) has_payer: bool,
    /// Others' changes were taken in when it was written, which the run has yet to hear.
    pub(crate) has_merged: bool,
}

impl Owed {
    /// Nothing is, since the claim.
    pub(crate) fn nothing() -> Self {
        Self { written: Instant::now(), is_owed: false, has_payer: false, has_merged: false }
    }

    /// All was written.
    pub(crate) fn pay(&mut self) {
        self.is_owed = false;
        self.written = Instant::now();
    }
}
