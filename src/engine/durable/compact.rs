//! Compacting: a new index in place of the one that has grown, and no more log
//! than is needed.

use std::fs;

use super::rebuild::rebuild;
use super::shared::Shared;
use crate::error::{Error, Failure, Result};

impl Shared {
    /// Writes a snapshot and makes the index anew from it. Closes the store. Interrupted
    /// at any moment, it leaves a store that the next opening completes.
    pub(super) fn compact(&self) -> Result<()> {
        let base = self.base.write().take().ok_or(Failure::Closed)?;
        let mut ground = self.ground.lock();
        self.checkpoint(&*base, &mut ground)?;
        self.snapshot(&*base, &mut ground, &|| false)?;
        if ground.snapshot.as_ref().is_none_or(|snapshot| snapshot.seq < ground.applied) {
            let dir = &self.parts.snapshots.dir;
            let why = format!(
                "its folder has no room for a snapshot: {} bytes are free. No commit is lost; make room and compact it again",
                self.parts.log.disk.free_bytes(dir)?
            );
            return Err(Failure::Storage {
                place: format!("store {}", dir.display()),
                action: "be compacted",
                why,
            }
            .into());
        }
        self.writer.lock().log.close()?;
        self.pool.delete_unused()?;
        base.close()?;
        let (home, snapshots) = (&*self.parts.home, &self.parts.snapshots);
        let replaced = rebuild(home, snapshots, ground.snapshot.as_ref(), None, "it was to be compacted")?;
        if let Some(replaced) = replaced {
            fs::remove_dir_all(&replaced).map_err(|error| Error::io("remove", &replaced, error))?;
        }
        home.note(ground.applied)?;
        home.release();
        Ok(())
    }
}
