//! The location of the log files, and their length.

use std::path::PathBuf;
use std::sync::Arc;

use crate::disk::Disk;
use crate::engine::durable::wal::segments::{SegmentDirectory, delete_unfinished};
use crate::error::Result;
use crate::record::Epoch;

/// The folder of a log, and the parameters of new segments.
#[derive(Debug, Clone)]
pub(crate) struct LogFiles {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    pub(crate) store: [u8; 16],
    /// The length of a segment in bytes.
    pub(crate) segment_bytes: u32,
    /// The epoch of this opening.
    pub(crate) epoch: Epoch,
}

impl LogFiles {
    /// Deletes what an interrupted writer left, and makes the listed files durable, since the
    /// program may have died before it did so.
    pub(crate) fn tidy(&self) -> Result<()> {
        self.disk.create_dir(&self.dir)?;
        delete_unfinished(&*self.disk, &self.dir)?;
        self.disk.sync_dir(&self.dir)
    }

    pub(crate) fn load(&self) -> Result<SegmentDirectory> {
        SegmentDirectory::load(self.disk.clone(), &self.dir, self.store)
    }
}
