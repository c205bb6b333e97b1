//! Creates a store from existing records.

use crate::engine::durable::options::{Options, SEGMENT_BYTES_MIN};
use crate::engine::durable::storage::{Records, StoreFiles, fill};
use crate::error::Result;
use crate::folder::Folder;
use crate::index;
use crate::record::{Position, Writers};

/// Fills the new store in `folder` with the records as of the commit `seq`, as if it had made that
/// commit.
pub(crate) fn create(
    folder: Folder,
    index: &index::Options,
    seq: u64,
    records: &mut Records<'_>,
) -> Result<()> {
    // The log is empty. Later segments have the configured size.
    let options = Options { segment_bytes: SEGMENT_BYTES_MIN, ..Options::default() };
    let files = StoreFiles::new(folder, index, options.segment_bytes)?;
    let created = files.index_dir.open(true)?;
    let position = Position::new(seq, Some(files.log.epoch));
    fill(&*created, position, records)?;
    files.log.disk.create_dir(&files.snapshots.dir)?;
    if seq > 0 {
        files.snapshots.write(&*created, &|| false)?;
    }
    let (mut log, _) = files.log.create(position)?;
    log.close()?;
    created.close()?;
    files.synced.create(position, files.log.epoch)?;
    files.index_dir.note(position, Writers { own: position.epoch, found: position.epoch })?;
    files.index_dir.release();
    Ok(())
}
