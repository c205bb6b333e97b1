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

mod format;
mod log;
mod log_files;
mod open;
mod repair;
mod scan;
mod segments;
#[cfg(test)]
mod tests;

pub(crate) use format::{Entry, Kind as FrameKind, Logged, key_and_payload};
pub(crate) use log::Log;
pub(crate) use log_files::LogFiles;
pub(crate) use repair::repair;
#[cfg(test)]
pub(crate) use scan::{Behind, Run};
pub(crate) use scan::{
    Broken, Found, HarmlessDamage, LogDamage, LogEnd, Spot, Survey, Visitor, read_behind, survey, walk,
};
pub(crate) use segments::{Pool, SegmentDirectory, stores_of};
