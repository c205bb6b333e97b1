//! Archives: all records of a store at one point in time, in one file. Snapshots
//! and backups are archives.
//!
//! ```text
//! header  "PSTATARC" format (u32, 2) zero (u32) id of the store (16 bytes)
//!         seq (u64) crc32 of the header so far (u32) zero (u32)
//!         epoch (u64) crc32 of the header so far (u32) zero (u32)
//! block   crc32 (u32) over the block's number (u64), the rest of its head and
//!         its body; length of the body (u32); kind (u8: 1 records, 2 end) zero (3)
//!         body
//! records record...
//! record  length of the key (u16) length of the value (u32) key value
//! end     records (u64) sum (u64)
//! ```
//! Integers are little endian. Blocks are numbered from 0. The archive contains every commit up to
//! `seq`, whose epoch is `epoch`; the header of format 1 ends before `epoch`. `sum` is the wrapping
//! sum of the records' fingerprints. Keys ascend. The value is the record's envelope. Nothing
//! follows the end block.

mod browse;
mod format;
mod reader;
mod target;
mod writer;

pub(crate) use browse::browse;
pub(crate) use reader::Reader;
pub(crate) use target::Target;
pub(crate) use writer::Writer;

use crate::record::{self, Epoch, Position};

/// The content of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) store: [u8; 16],
    /// The last commit that it includes.
    pub(crate) seq: u64,
    /// The epoch of this commit.
    pub(crate) epoch: Option<Epoch>,
    pub(crate) records: u64,
    pub(crate) sum: u64,
    /// The length of the file in bytes.
    pub(crate) bytes: u64,
}

impl Summary {
    pub(crate) fn position(&self) -> Position {
        Position::new(self.seq, self.epoch)
    }

    fn add(&mut self, key: &[u8], value: &[u8]) {
        self.records += 1;
        self.sum = self.sum.wrapping_add(record::fingerprint(key, value));
    }
}

#[cfg(test)]
mod tests;
