//! Where the files of a log are.

use std::path::PathBuf;
use std::sync::Arc;

use crate::disk::Disk;
use crate::engine::durable::wal::segments::SegmentDirectory;
use crate::error::Result;
use crate::record::Epoch;

/// Where the log is, and how it is to be.
#[derive(Debug, Clone)]
pub(crate) struct LogFiles {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    pub(crate) store: [u8; 16],
    /// The length of a segment, in bytes.
    pub(crate) segment_bytes: u32,
    /// That of whoever opens it to write.
    pub(crate) epoch: Epoch,
}

impl LogFiles {
    pub(crate) fn load(&self) -> Result<SegmentDirectory> {
        SegmentDirectory::load(self.disk.clone(), &self.dir, self.store)
    }
}
