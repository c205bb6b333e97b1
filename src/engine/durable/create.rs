//! A new store of records that are there already.

use super::rebuild::{Records, fill};
use super::{Options, SEGMENT_BYTES_MIN, parts_of};
use crate::error::Result;
use crate::folder::Folder;
use crate::index;
use crate::record::{Position, Writers};

/// Makes the store in `folder`, which was just begun, hold the records that there
/// were after the commit `seq`, as if it had made them.
pub(crate) fn create(
    folder: Folder,
    index: &index::Options,
    seq: u64,
    records: &mut Records<'_>,
) -> Result<()> {
    // The log has nothing to hold yet; what comes later gets segments as configured then.
    let options = Options { segment_bytes: SEGMENT_BYTES_MIN, ..Options::default() };
    let parts = parts_of(folder, index, &options)?;
    let base = parts.home.open()?;
    let position = Position::new(seq, Some(parts.log.epoch));
    fill(&*base, position, records)?;
    parts.log.disk.create_dir(&parts.snapshots.dir)?;
    if seq > 0 {
        parts.snapshots.write(&*base, &|| false)?;
    }
    let (mut log, _) = parts.log.create(position)?;
    log.close()?;
    base.close()?;
    parts.synced.open(position, parts.log.epoch)?;
    parts.home.note(position, Writers { own: position.epoch, found: position.epoch })?;
    parts.home.release();
    Ok(())
}
