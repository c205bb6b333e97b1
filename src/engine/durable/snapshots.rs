//! Snapshots: archives that, with the log behind them, hold everything. The index
//! can be rebuilt from them.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use super::base::Base;
use crate::archive::{self, Summary};
use crate::disk::Disk;
use crate::error::{Failure, Result};

const EXTENSION: &str = ".archive";

/// The folder of snapshots.
#[derive(Debug, Clone)]
pub(crate) struct Snapshots {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    pub(crate) store: [u8; 16],
}

/// A snapshot that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) seq: u64,
    pub(crate) bytes: u64,
    pub(crate) path: PathBuf,
}

fn seq_of(name: &str) -> Option<u64> {
    name.strip_suffix(EXTENSION)?.parse().ok()
}

impl Snapshots {
    /// Deletes what an interrupted writer left, and makes durable what is seen.
    pub(crate) fn tidy(&self) -> Result<()> {
        self.disk.create_dir(&self.dir)?;
        for name in self.disk.list(&self.dir)?.iter().filter(|name| name.ends_with(".new")) {
            self.disk.remove(&self.dir.join(name))?;
        }
        self.disk.sync_dir(&self.dir)
    }

    /// The newest snapshot by its name. Whether it is sound shows when it is read.
    pub(crate) fn newest(&self) -> Result<Option<Snapshot>> {
        let Some(seq) = self.disk.list(&self.dir)?.iter().filter_map(|name| seq_of(name)).max() else {
            return Ok(None);
        };
        let path = self.path(seq);
        let bytes = self.disk.open(&path)?.len()?;
        Ok(Some(Snapshot { seq, bytes, path }))
    }

    /// Reads a snapshot to its end.
    pub(crate) fn read(&self, snapshot: &Snapshot, visit: &mut archive::Visitor<'_>) -> Result<Summary> {
        let summary = archive::read(&*self.disk, &snapshot.path, visit)?;
        if (summary.store, summary.seq) == (self.store, snapshot.seq) {
            return Ok(summary);
        }
        let place = format!("snapshot {}", snapshot.path.display());
        let why = "it is of another store, or of another moment than its name says".to_owned();
        Err(Failure::Corrupt { place, why }.into())
    }

    /// Writes what `base` holds, which stands still meanwhile, and deletes older
    /// snapshots. Stops when `stop` says so; then there is none.
    pub(crate) fn write(&self, base: &dyn Base, stop: &dyn Fn() -> bool) -> Result<Option<Snapshot>> {
        let contents = base.contents()?;
        let path = self.path(contents.seq);
        let mut writer = archive::Writer::create(self.disk.clone(), &path, self.store, contents.seq)?;
        let mut found = contents.emptied();
        let mut failed = Ok(());
        let mut stopped = false;
        base.scan(&[], &[u8::MAX], &|_| false, &mut |key, value| {
            found.add(&key, &value);
            failed = writer.add(&key, &value);
            stopped = stop();
            if failed.is_err() || stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        failed?;
        if stopped {
            return Ok(None);
        }
        if found != contents {
            let why = format!(
                "it holds {} records, and should hold {}, or other ones",
                found.records, contents.records
            );
            return Err(Failure::Corrupt { place: "the index".to_owned(), why }.into());
        }
        let bytes = writer.finish(&path)?.bytes;
        self.delete_before(contents.seq)?;
        Ok(Some(Snapshot { seq: contents.seq, bytes, path }))
    }

    fn delete_before(&self, seq: u64) -> Result<()> {
        for name in self.disk.list(&self.dir)? {
            if seq_of(&name).is_some_and(|older| older < seq) {
                self.disk.remove(&self.dir.join(name))?;
            }
        }
        Ok(())
    }

    fn path(&self, seq: u64) -> PathBuf {
        self.dir.join(format!("{seq:020}{EXTENSION}"))
    }
}
