//! Reading the log of a store that is open, while commits go on.

use std::sync::atomic::Ordering;

use super::shared::Shared;
use super::wal::{Directory, Found, Visitor, browse};
use crate::error::Result;

impl Shared {
    pub(super) fn browse_log(&self, visit: &mut Visitor<'_>) -> Result<()> {
        self.with_base(|_| {
            // Only who has the ground lets go of segments, for others to write to.
            let ground = self.ground.lock();
            let newest = ground.snapshot.as_ref().map_or(0, |snapshot| snapshot.seq);
            // What is behind may be written right now.
            let last = self.last_seq.load(Ordering::Acquire);
            let log = &self.parts.log;
            let (directory, _) = Directory::salvage(log.disk.clone(), &log.dir, Some(log.store))?;
            browse(&directory, newest, &mut |found| match found {
                Found::Commit { seq, .. } | Found::Begun { seq, .. } if seq > last => Ok(()),
                Found::Gap { after, .. } if after >= last => Ok(()),
                found => visit(found),
            })
        })
    }
}
