//! The write-ahead log: every commit, in order, in segments that are used again.
//!
//! A commit is a frame, or several if it is large, and its frames may lie in
//! several segments. The log ends where no sound frame follows. Frames carry what
//! was synced when they were written, so that at opening a torn tail, which is cut,
//! is told from damage, which is an error.
//!
//! - A segment gets a header with a new id before it gets frames, and the header is
//!   durable by then. A frame's checksum covers that id and the frame's offset:
//!   stale and misplaced bytes are no frames.
//! - The last frame of a full segment names the next one, so a missing segment is
//!   missed. No segment is let go of before the next one has a durable frame, so
//!   the log is never empty.
//! - A header names the epoch of whoever writes the segment, and so does a frame where
//!   another opening goes on in it: of each commit it is known who wrote it.
//! - What was cut at opening is zeroed before anything is appended, and what was
//!   kept is written again, since the kernel may show what the disk never got.

mod directory;
mod entry;
mod epochs;
mod files;
mod found;
mod frame;
mod header;
mod log;
mod open;
mod pool;
mod repair;
mod search;
pub(super) mod survey;
#[cfg(test)]
mod tests;
mod walk;
mod walker;
mod zeroes;

pub(crate) use directory::{Directory, stores_of};
pub(crate) use entry::{Entry, Logged, parts};
pub(crate) use files::Files;
pub(crate) use found::{Found, Spot, Visitor};
pub(crate) use frame::Kind as FrameKind;
pub(crate) use log::Log;
pub(crate) use pool::Pool;
pub(crate) use repair::repair;
pub(crate) use survey::{Broken, Harmless, LogDamage, LogEnd, Survey};
pub(crate) use walk::{read_behind, survey, walk};
