//! Receives a backup over the wire into a local file.

use std::sync::Arc;

use super::Wire;
use super::listing::Listing;
use crate::archive::{Reader, Target};
use crate::disk::{Disk, RealDisk};
use crate::engine::Backup;
use crate::error::Result;
use crate::proto::engine as proto;
use crate::proto::engine::frame::What;

/// Fetches a backup.
///
/// The file gets its final name once it is complete, durable, and verified.
pub(super) fn fetch(wire: &Arc<Wire>, target: &Target) -> Result<Backup> {
    let disk = RealDisk::PRIVATE;
    let written = write(wire, &disk, target);
    if written.is_err() {
        // A failed draft is useless, and may be what fills the disk.
        let _ = disk.remove(target.draft());
    }
    written
}

fn write(wire: &Arc<Wire>, disk: &RealDisk, target: &Target) -> Result<Backup> {
    let file = disk.create(target.draft())?;
    let mut listing = Listing::begin(wire, "backup", &proto::Backup {})?;
    let mut length = 0;
    while let Some(what) = listing.next()? {
        let What::Chunk(chunk) = what else { continue };
        file.write_at(&chunk, length)?;
        length += chunk.len() as u64;
    }
    file.sync()?;
    let summary = Reader::open(disk, target.draft())?.finish()?;
    disk.rename(target.draft(), target.path())?;
    target.path().parent().map_or(Ok(()), |folder| disk.sync_dir(folder))?;
    Ok(summary.into())
}
