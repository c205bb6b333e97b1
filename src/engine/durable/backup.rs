//! Backups: an archive of the index, which stands still between two checkpoints
//! while log and memtable go on.

use std::io::ErrorKind;
use std::sync::atomic::Ordering;

use super::shared::Shared;
use crate::archive::Target;
use crate::engine::Backup;
use crate::error::{Failure, Result};

impl Shared {
    pub(super) fn backup(&self, target: &Target) -> Result<Backup> {
        self.with_base(|base| {
            let wanted = self.last_seq.load(Ordering::Acquire);
            let mut ground = self.ground.lock();
            self.checkpoint(base, &mut ground).inspect_err(|error| self.poison.poison(error))?;
            if ground.applied < wanted {
                let (path, source) = (self.parts.log.dir.clone(), ErrorKind::StorageFull.into());
                return Err(Failure::DiskFull { path, source }.into());
            }
            let written =
                self.parts.snapshots.archive(base, target.clone(), &|| self.checkpoints.is_stopped())?;
            Ok(written.ok_or(Failure::Closed)?.into())
        })
    }
}
