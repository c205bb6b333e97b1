//! A shorter file for a segment. The file of a closed log would be zeroes for the most part
//! otherwise.

use std::path::{Path, PathBuf};

use super::frames::Frames;
use super::pool::{Pool, Segment};
use super::slot::{Slot, path_of, slot_of};
use crate::disk::Disk;
use crate::engine::durable::wal::format::{Header, Opened, PAGE};
use crate::error::{Error, Result};

/// The length of a segment that is begun when the log is closed, and what is left free behind the
/// frames of one that is shortened: what is committed in the few moments for which many programs
/// open a store fits into it.
pub(crate) const SHORT_SEGMENT_BYTES: u32 = 64 << 10;

const NEW: &str = ".new";

/// Where a shorter file is written before it has its name.
fn new_path(dir: &Path, slot: Slot) -> PathBuf {
    let mut path = path_of(dir, slot).into_os_string();
    path.push(NEW);
    path.into()
}

/// Whether a file is one that a program was writing when it died.
pub(crate) fn is_unfinished(name: &str) -> bool {
    name.strip_suffix(NEW).is_some_and(|segment| slot_of(segment).is_some())
}

/// Deletes the files that a program was writing when it died.
pub(crate) fn delete_unfinished(disk: &dyn Disk, dir: &Path) -> Result<()> {
    disk.list(dir)?
        .iter()
        .filter(|name| is_unfinished(name))
        .try_for_each(|name| disk.remove(&dir.join(name)))
}

impl Pool {
    /// Puts a shorter file in place of that of a segment of which everything up to `end` is durable,
    /// and answers the segment in it. `None` if that would give back less than it writes, if there
    /// is no room for it, or if the frames are not what was written: the next opening says so.
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
        // One name all the time: no two files are the same segment.
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

/// All of the file of a segment, made shorter. The frames are what they were: their checksums are
/// over the id of the segment and their offset, which stay. `None` if there is anything else.
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
