//! Reported progress that waits to be written.

use std::time::Instant;

/// Progress that was reported but not written.
#[derive(Debug)]
pub(crate) struct DeferredProgress {
    pub(crate) written: Instant,
    pub(crate) is_pending: bool,
    /// Whether a thread is waiting to write it.
    pub(crate) has_writer: bool,
    /// Whether its write merged concurrent changes, which the run has yet to see.
    pub(crate) has_merged: bool,
}

impl DeferredProgress {
    /// Returns the state after a claim.
    pub(crate) fn none() -> Self {
        Self { written: Instant::now(), is_pending: false, has_writer: false, has_merged: false }
    }

    /// Records that everything was written.
    pub(crate) fn mark_written(&mut self) {
        self.is_pending = false;
        self.written = Instant::now();
    }
}
