//! The write-ahead log: every commit, in order, in segments whose files are used again.
//!
//! A commit is one frame, or several if it is large, possibly in several segments. The log ends
//! where no valid frame follows. Each frame records what was synced when it was written, so that
//! opening can distinguish a torn tail, which it removes, from damage, which is an error.
//!
//! - A segment gets a header with a new id, which is durable before the first frame is written. A
//!   frame's checksum covers that id and the frame's offset, so that stale and misplaced bytes are
//!   no frames.
//! - The last frame of a full segment names the next one, so that a missing segment is noticed. No
//!   segment is released before the next one has a durable frame, so that the log is never empty.
//! - The header names the epoch of the opening that writes the segment. If another opening
//!   continues the segment, its first frame names the new epoch, so that the epoch of each commit
//!   is known.
//! - Opening zeroes the part it cuts before it appends anything, and rewrites the part it keeps,
//!   since the kernel may show data that never reached the disk.

mod closing;
mod format;
mod log;
mod log_files;
mod open;
mod repair;
mod scan;
mod segments;
#[cfg(test)]
mod tests;

pub(crate) use format::{Entry, Kind as FrameKind, Logged, LoggedRef, key_and_payload};
pub(crate) use log::Log;
pub(crate) use log_files::LogFiles;
pub(crate) use repair::repair;
#[cfg(test)]
pub(crate) use scan::{Behind, Visited};
pub(crate) use scan::{
    Broken, Found, HarmlessDamage, LogDamage, LogEnd, Run, Spot, Survey, Visitor, own_segments, read_behind,
    survey, walk,
};
#[cfg(test)]
pub(crate) use segments::StoredSegment;
pub(crate) use segments::{
    Pool, SHORT_SEGMENT_BYTES, SegmentDirectory, Slot, is_unfinished, store_of, stores_of,
};
