//! Reads whatever is left of an archive, however damaged. It validates nothing: the envelope of
//! each value shows whether the value is intact.

use std::path::Path;

use bytes::{Buf, Bytes};

use super::format::{
    BLOCK_HEAD_LEN, BODY_BYTES_MAX, FORMAT_1, HEADER_LEN, HEADER_LEN_1, MAGIC, RECORDS, checksum,
};
use crate::disk::{Disk, DiskFile};
use crate::error::Result;

/// Visits presumed keys and values block by block, as long as the block lengths are plausible.
pub(crate) fn browse(disk: &dyn Disk, path: &Path, visit: &mut dyn FnMut(Bytes, Bytes)) -> Result<()> {
    let file = disk.open(path)?;
    let mut at = first_block(&*file)?;
    loop {
        let head = read(&*file, at, BLOCK_HEAD_LEN)?;
        let Some(mut fields) = head.get(4..).filter(|_| head.len() == BLOCK_HEAD_LEN) else { return Ok(()) };
        let (length, kind) = (fields.get_u32_le() as usize, fields.get_u8());
        if length > BODY_BYTES_MAX {
            return Ok(());
        }
        at += BLOCK_HEAD_LEN as u64;
        if kind == RECORDS {
            records(read(&*file, at, length)?.into(), visit);
        }
        at += length as u64;
    }
}

/// Returns the offset of the first block.
///
/// Both the header, which tells the format, and the first block may be damaged.
fn first_block(file: &dyn DiskFile) -> Result<u64> {
    for length in [HEADER_LEN, HEADER_LEN_1] {
        if is_block(file, length as u64)? {
            return Ok(length as u64);
        }
    }
    let format = read(file, MAGIC.len() as u64, 4)?;
    let is_of_format_1 = format == FORMAT_1.to_le_bytes();
    Ok(if is_of_format_1 { HEADER_LEN_1 } else { HEADER_LEN } as u64)
}

/// Reports whether an intact first block starts at `at`.
fn is_block(file: &dyn DiskFile, at: u64) -> Result<bool> {
    let head = read(file, at, BLOCK_HEAD_LEN)?;
    let Some((mut crc, mut fields)) = head.split_at_checked(4) else { return Ok(false) };
    let (Ok(crc), Ok(length)) = (crc.try_get_u32_le(), fields.try_get_u32_le()) else { return Ok(false) };
    if length as usize > BODY_BYTES_MAX {
        return Ok(false);
    }
    let block = read(file, at, BLOCK_HEAD_LEN + length as usize)?;
    Ok(crc == checksum(0, block.get(4..).unwrap_or_default()))
}

fn read(file: &dyn DiskFile, at: u64, length: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let read = file.read_at(&mut bytes, at)?;
    bytes.truncate(read);
    Ok(bytes)
}

fn records(mut body: Bytes, visit: &mut dyn FnMut(Bytes, Bytes)) {
    while let (Ok(key), Ok(value)) = (body.try_get_u16_le(), body.try_get_u32_le()) {
        let (key, value) = (usize::from(key), value as usize);
        if body.len() < key.saturating_add(value) {
            return;
        }
        let key = body.split_to(key);
        visit(key, body.split_to(value));
    }
}
