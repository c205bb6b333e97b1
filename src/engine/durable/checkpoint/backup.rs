//! Backups: an archive of the index, which stands still between two checkpoints
//! while log and memtable go on.

use std::io::ErrorKind;
use std::sync::atomic::Ordering;

use crate::archive::Target;
use crate::engine::Backup;
use crate::engine::durable::shared::Shared;
use crate::error::{Failure, Result};

impl Shared {
    pub(crate) fn backup(&self, target: &Target) -> Result<Backup> {
        self.with_index(|index| {
            let wanted = self.last_seq.load(Ordering::Acquire);
            let mut ground = self.ground.lock();
            self.checkpoint(index, &mut ground).inspect_err(|error| self.poison.poison(error))?;
            if ground.applied < wanted {
                let (path, source) = (self.files.log.dir.clone(), ErrorKind::StorageFull.into());
                return Err(Failure::DiskFull { path, source }.into());
            }
            let written =
                self.files.snapshots.archive(index, target.clone(), &|| self.checkpoints.is_stopped())?;
            Ok(written.ok_or(Failure::Closed)?.into())
        })
    }
}
