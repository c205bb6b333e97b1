//! Where the files of a log are, and their length.

use std::path::PathBuf;
use std::sync::Arc;

use crate::disk::Disk;
use crate::engine::durable::wal::segments::SegmentDirectory;
use crate::error::Result;
use crate::record::Epoch;

/// The folder of a log, and how new segments are made.
#[derive(Debug, Clone)]
pub(crate) struct LogFiles {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    pub(crate) store: [u8; 16],
    /// The length of a segment, in bytes.
    pub(crate) segment_bytes: u32,
    /// The epoch of this opening.
    pub(crate) epoch: Epoch,
}

impl LogFiles {
    pub(crate) fn load(&self) -> Result<SegmentDirectory> {
        SegmentDirectory::load(self.disk.clone(), &self.dir, self.store)
    }
}
