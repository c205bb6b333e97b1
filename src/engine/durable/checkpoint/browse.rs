//! Reading the log of a store that is open, while commits go on.

use std::sync::atomic::Ordering;

use crate::engine::durable::shared::Shared;
use crate::engine::durable::wal::{Found, SegmentDirectory, Visitor, walk};
use crate::error::Result;

impl Shared {
    pub(crate) fn browse_log(&self, after: u64, visit: &mut Visitor<'_>) -> Result<()> {
        self.with_index(|_| {
            // Only who has the ground lets go of segments, for others to write to.
            let ground = self.ground.lock();
            let newest = ground.snapshot.as_ref().map_or(0, |snapshot| snapshot.seq);
            let known = if after > 0 { after } else { newest };
            // What is behind may be written right now.
            let last = self.last_seq.load(Ordering::Acquire);
            let log = &self.files.log;
            let (directory, _) = SegmentDirectory::salvage(log.disk.clone(), &log.dir, Some(log.store))?;
            walk(&directory, known, &mut |found| match found {
                Found::Commit { seq, .. } | Found::Begun { seq, .. } if seq > last || seq <= after => Ok(()),
                Found::Gap { after: before, until, .. } if before >= last || until < after => Ok(()),
                found => visit(found),
            })
            .map(drop)
        })
    }
}
