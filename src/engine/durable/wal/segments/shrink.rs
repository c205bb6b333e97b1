//! Shortens the file of a segment, which in a closed log would consist mostly of zeroes.

use std::path::{Path, PathBuf};

use super::frames::Frames;
use super::pool::{Pool, Segment};
use super::slot::{Slot, path_of, slot_of};
use crate::disk::Disk;
use crate::engine::durable::wal::format::{Header, Opened, PAGE};
use crate::error::{Error, Result};

/// The length of a segment started when the log is closed, and the space left after the frames of a
/// shortened one: enough for the commits of programs that open a store only briefly.
pub(crate) const SHORT_SEGMENT_BYTES: u32 = 64 << 10;

const NEW: &str = ".new";

/// Returns the temporary path of a shorter file.
fn new_path(dir: &Path, slot: Slot) -> PathBuf {
    let mut path = path_of(dir, slot).into_os_string();
    path.push(NEW);
    path.into()
}

/// Reports whether a program was writing this file when it died.
pub(crate) fn is_unfinished(name: &str) -> bool {
    name.strip_suffix(NEW).is_some_and(|segment| slot_of(segment).is_some())
}

/// Deletes the files that programs were writing when they died.
pub(crate) fn delete_unfinished(disk: &dyn Disk, dir: &Path) -> Result<()> {
    disk.list(dir)?
        .iter()
        .filter(|name| is_unfinished(name))
        .try_for_each(|name| disk.remove(&dir.join(name)))
}

impl Pool {
    /// Replaces the file of a segment by a shorter one, given that everything up to `end` is
    /// durable; returns the new segment.
    ///
    /// `None` if that would free less than it writes, if there is no space for it, or if the frames
    /// are damaged, which the next opening reports.
    pub(crate) fn shrink(&self, segment: &Segment, end: u64) -> Result<Option<Segment>> {
        let bytes = (end + u64::from(SHORT_SEGMENT_BYTES)).next_multiple_of(PAGE as u64);
        if 2 * bytes > segment.bytes {
            return Ok(None);
        }
        let Some(content) = shortened(segment, end, bytes)? else { return Ok(None) };
        let (path, new) = (path_of(&self.dir, segment.slot), new_path(&self.dir, segment.slot));
        if let Err(error) = self.write(&new, &content).map_err(Error::before_writing) {
            let _ = self.disk.remove(&new);
            return if error.is_disk_full() { Ok(None) } else { Err(error) };
        }
        // The name exists at every moment, and no two files are the same segment.
        self.disk.rename(&new, &path)?;
        self.disk.sync_dir(&self.dir)?;
        let file = self.disk.open(&path)?;
        Ok(Some(Segment { id: segment.id, slot: segment.slot, file, bytes }))
    }

    fn write(&self, path: &Path, content: &[u8]) -> Result<()> {
        let file = self.disk.create(path)?;
        file.write_at(content, 0)?;
        file.sync()
    }
}

/// Returns the shortened content of a segment's file; `None` if the file contains anything else.
/// The frames stay valid: their checksums cover the id of the segment and their offset, which do
/// not change.
fn shortened(segment: &Segment, end: u64, bytes: u64) -> Result<Option<Vec<u8>>> {
    let (Ok(end), Ok(length), Ok(segment_bytes)) =
        (usize::try_from(end), usize::try_from(bytes), u32::try_from(bytes))
    else {
        return Ok(None);
    };
    let mut content = vec![0; end];
    let read = segment.file.read_at(&mut content, 0)?;
    let Opened::Header(header) = Header::decode(&content) else { return Ok(None) };
    let mut frames = Frames::of(&content, segment.id);
    let frames_end =
        frames.from(PAGE).fold(PAGE, |at, (here, frame)| if here == at { at + frame.len() } else { at });
    if read != end || header.segment != segment.id || frames_end != end {
        return Ok(None);
    }
    let header = Header { segment_bytes, is_fresh: true, ..header }.encode();
    content.splice(..PAGE, header);
    content.resize(length, 0);
    Ok(Some(content))
}
