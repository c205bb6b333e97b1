//! What the tool writes: data on standard output, messages on standard error, progress bars on a
//! terminal.
//!
//! Every text from a store is escaped here before a terminal sees it.

pub(super) mod log;
pub(super) mod output;
pub(super) mod panics;
pub(super) mod patience;
pub(super) mod progress;
