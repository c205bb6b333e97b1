//! The files of the log: their segments, and free files.

mod directory;
mod frames;
mod pool;
mod shrink;
mod slot;
mod zeroes;

#[cfg(test)]
pub(crate) use directory::frame_at;
pub(crate) use directory::{SegmentDirectory, StoredSegment, store_of, stores_of};
pub(crate) use frames::Frames;
pub(crate) use pool::{Pool, Segment};
pub(crate) use shrink::{SHORT_SEGMENT_BYTES, delete_unfinished, is_unfinished};
pub(crate) use slot::{Slot, Stock};
pub(crate) use zeroes::write_zeroes;
