//! Constants of the archive format.

pub(super) const MAGIC: &[u8; 8] = b"PSTATARC";
pub(super) const FORMAT: u32 = 2;
pub(super) const HEADER_LEN: usize = 64;
pub(super) const HEADER_CHECKED: usize = 40;
/// The format without an epoch.
pub(super) const FORMAT_1: u32 = 1;
pub(super) const HEADER_LEN_1: usize = 48;
pub(super) const BLOCK_HEAD_LEN: usize = 12;

/// A block is closed once its body reaches this length.
pub(super) const BLOCK_BYTES: usize = 256 << 10;

/// The maximum length of a body: a block plus one record.
pub(super) const BODY_BYTES_MAX: usize = 4 << 20;

pub(super) const RECORDS: u8 = 1;
pub(super) const END: u8 = 2;

pub(super) fn checksum(block: u64, rest: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&block.to_le_bytes());
    hasher.update(rest);
    hasher.finalize()
}
