//! Zeroes in a file: written rather than left as a hole, so that the space is really allocated.

use crate::disk::DiskFile;
use crate::error::Result;

static ZEROES: [u8; 64 << 10] = [0; 64 << 10];

/// Writes zeroes from `at` up to `end`.
pub(crate) fn write_zeroes(file: &dyn DiskFile, mut at: u64, end: u64) -> Result<()> {
    while at < end {
        let length = usize::try_from(end - at).unwrap_or(usize::MAX).min(ZEROES.len());
        file.write_at(ZEROES.get(..length).unwrap_or_default(), at)?;
        at += length as u64;
    }
    Ok(())
}
