//! Backups: an archive of the index, which does not change between two checkpoints, while log and
//! memtable continue.

use std::io::ErrorKind;

use super::checkpointer::Checkpointer;
use crate::archive::Target;
use crate::engine::Backup;
use crate::engine::durable::storage::IndexBackend;
use crate::error::{Failure, Result};

impl Checkpointer {
    pub(crate) fn backup(&self, index: &dyn IndexBackend, target: &Target) -> Result<Backup> {
        let shared = &self.shared;
        // A backup of a damaged index would be damaged.
        shared.verification.wait();
        shared.poison.check()?;
        let wanted = shared.last_seq();
        let mut state = self.state.lock();
        self.checkpoint(index, &mut state).inspect_err(|error| shared.poison.poison(error))?;
        if state.applied < wanted {
            let (path, source) = (shared.files.log.dir.clone(), ErrorKind::StorageFull.into());
            return Err(Failure::DiskFull { path, source }.into());
        }
        let is_stopped = || shared.checkpoint_thread.is_stopped();
        let written = shared.files.snapshots.archive(index, target.clone(), &is_stopped)?;
        Ok(written.ok_or(Failure::Closed)?.into())
    }
}
