//! Repairs the end of a log before anything is appended, after the program or the machine died.

use crate::disk::DiskFile;
use crate::engine::durable::wal::format::{HEADER_LEN, Header, PAGE};
use crate::engine::durable::wal::scan::{LogEnd, Visited};
use crate::engine::durable::wal::segments::SegmentDirectory;
use crate::engine::durable::wal::segments::write_zeroes;
use crate::error::Result;

/// Makes the log durable, and erases everything after its end or between its segments, so that it
/// is never read as part of the log.
///
/// `store` is the id of the store. May be interrupted and repeated.
pub(crate) fn repair(directory: &SegmentDirectory, store: [u8; 16], found: &LogEnd) -> Result<()> {
    for (_, stray) in directory.iter().filter(|(segment, _)| found.is_stray(*segment)) {
        directory.erase_header(stray)?;
    }
    if found.is_clean {
        return write_close_again(directory, found);
    }
    for visited in found.segments.iter().filter(|visited| visited.segment <= found.end.segment) {
        // The frame that names the next segment is durable if a later commit is.
        if visited.segment == found.end.segment || visited.last_seq >= found.synced {
            write_again(directory, store, found, visited)?;
        }
    }
    erase_unused(directory, found)
}

/// Rewrites the last frame.
///
/// It records that everything before it is durable, but may not be durable itself.
fn write_close_again(directory: &SegmentDirectory, found: &LogEnd) -> Result<()> {
    let Some(stored) = directory.get(found.end.segment) else { return Ok(()) };
    let file = directory.file(stored.slot)?;
    let mut close = [0; HEADER_LEN];
    let at = found.end.offset.saturating_sub(HEADER_LEN as u64);
    file.read_at(&mut close, at)?;
    file.write_at(&close, at)?;
    file.sync()
}

/// Rewrites the data read, since the kernel may show data that never reached the disk, and zeroes
/// everything after the end.
fn write_again(
    directory: &SegmentDirectory,
    store: [u8; 16],
    found: &LogEnd,
    visited: &Visited,
) -> Result<()> {
    let mut bytes = directory.read(visited.stored)?;
    let is_last = visited.segment == found.end.segment;
    let end = if is_last { found.end.offset } else { visited.end };
    let end = usize::try_from(end).unwrap_or(usize::MAX);
    bytes.truncate(end);
    let file = directory.file(visited.stored.slot)?;
    file.write_at(bytes.get(PAGE..).unwrap_or_default(), PAGE as u64)?;
    if is_last {
        if visited.stored.is_headless {
            restore_header(&*file, store, visited)?;
        }
        // The file may be shorter than its header says.
        write_zeroes(&*file, end as u64, visited.stored.bytes)?;
    }
    file.sync()
}

/// Writes a new header for a segment whose own is damaged, durably.
///
/// Its first frame identified it, and may be about to be erased. If the program were killed after
/// that, the segment would be missing.
fn restore_header(file: &dyn DiskFile, store: [u8; 16], visited: &Visited) -> Result<()> {
    let Visited { segment, stored, .. } = *visited;
    let segment_bytes = u32::try_from(stored.bytes).unwrap_or(u32::MAX);
    let header = Header { store, segment, segment_bytes, epoch: stored.epoch, is_fresh: stored.is_fresh };
    file.write_at(&header.encode(), 0)?;
    file.sync()
}

/// Erases the headers of the segments after the end.
fn erase_unused(directory: &SegmentDirectory, found: &LogEnd) -> Result<()> {
    for (_, stored) in directory.after(found.end.segment) {
        directory.erase_header(stored)?;
    }
    Ok(())
}
