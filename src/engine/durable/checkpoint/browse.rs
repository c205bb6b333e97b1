//! Reads the log of an open store while commits continue.

use super::checkpointer::Checkpointer;
use crate::engine::durable::wal::{Found, SegmentDirectory, Visitor, walk};
use crate::error::Result;

impl Checkpointer {
    /// Visits the commits after `after` that are in the log.
    pub(crate) fn browse_log(&self, after: u64, visit: &mut Visitor<'_>) -> Result<()> {
        // Prevents segments from being released and reused.
        let state = self.state.lock();
        let newest = state.snapshot.as_ref().map_or(0, |snapshot| snapshot.seq);
        let known = if after > 0 { after } else { newest };
        // Later commits may be in the middle of a write.
        let last = self.shared.last_seq();
        let log = &self.shared.files.log;
        let (directory, _) = SegmentDirectory::salvage(log.disk.clone(), &log.dir, Some(log.store))?;
        walk(&directory, known, &mut |found| match found {
            Found::Commit { seq, .. } | Found::Begun { seq, .. } if seq > last || seq <= after => Ok(()),
            Found::Gap { after: before, until, .. } if before >= last || until < after => Ok(()),
            found => visit(found),
        })
        .map(drop)
    }
}
