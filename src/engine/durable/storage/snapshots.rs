//! Snapshots: archives of the index, from which it can be rebuilt with the log after them.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use super::index_backend::IndexBackend;
use crate::archive::{self, Summary, Target};
use crate::disk::Disk;
use crate::error::{Failure, Result};
use crate::model::limits::SEQ_MAX;

const EXTENSION: &str = ".archive";

/// The folder of snapshots.
#[derive(Debug, Clone)]
pub(crate) struct Snapshots {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    pub(crate) store: [u8; 16],
}

/// A snapshot in the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) seq: u64,
    pub(crate) bytes: u64,
    pub(crate) path: PathBuf,
}

fn seq_of(name: &str) -> Option<u64> {
    let seq = name.strip_suffix(EXTENSION)?.parse().ok()?;
    (seq <= SEQ_MAX && name == name_of(seq)).then_some(seq)
}

fn name_of(seq: u64) -> String {
    format!("{seq:020}{EXTENSION}")
}

impl Snapshots {
    /// Deletes what an interrupted writer left, and makes the listed files durable.
    pub(crate) fn tidy(&self) -> Result<()> {
        self.disk.create_dir(&self.dir)?;
        for name in self.disk.list(&self.dir)?.iter().filter(|name| name.ends_with(".new")) {
            self.disk.remove(&self.dir.join(name))?;
        }
        self.disk.sync_dir(&self.dir)
    }

    /// Returns the newest snapshot by name.
    ///
    /// Only reading it shows whether it is intact.
    pub(crate) fn newest(&self) -> Result<Option<Snapshot>> {
        Ok(self.list()?.into_iter().next())
    }

    /// All snapshots, newest first.
    pub(crate) fn list(&self) -> Result<Vec<Snapshot>> {
        let mut found: Vec<u64> = self.disk.list(&self.dir)?.iter().filter_map(|name| seq_of(name)).collect();
        found.sort_unstable_by(|one, other| other.cmp(one));
        let snapshot = |seq| {
            let path = self.path(seq);
            let bytes = self.disk.open(&path)?.len()?;
            Ok(Snapshot { seq, bytes, path })
        };
        found.into_iter().map(snapshot).collect()
    }

    /// Opens the records of a snapshot.
    pub(crate) fn read(&self, snapshot: &Snapshot) -> Result<archive::Reader> {
        let reader = archive::Reader::open(&*self.disk, &snapshot.path)?;
        let Summary { store, seq, .. } = reader.summary();
        if (store, seq) == (self.store, snapshot.seq) {
            return Ok(reader);
        }
        let place = format!("snapshot {}", snapshot.path.display());
        let why = "it belongs to another store, or to another moment than its name says".to_owned();
        Err(Failure::Corrupt { place, why }.into())
    }

    /// Writes a snapshot of `index`, which must not change meanwhile, and deletes older ones;
    /// `None` if `stop` ended it.
    pub(crate) fn write(
        &self,
        index: &dyn IndexBackend,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Snapshot>> {
        let path = self.path(index.contents()?.seq);
        let Some(written) = self.archive(index, Target::new(&path), stop)? else {
            return Ok(None);
        };
        self.delete_before(written.seq)?;
        Ok(Some(Snapshot { seq: written.seq, bytes: written.bytes, path }))
    }

    /// Writes a snapshot, but keeps it only if `is_worth` accepts its size in bytes.
    pub(crate) fn write_if(
        &self,
        index: &dyn IndexBackend,
        is_worth: impl FnOnce(u64) -> bool,
    ) -> Result<Option<Snapshot>> {
        let path = self.path(index.contents()?.seq);
        let Some(Summary { seq, bytes, .. }) = self.archive(index, Target::new(&path), &|| false)? else {
            return Ok(None);
        };
        if is_worth(bytes) {
            self.delete_before(seq)?;
            return Ok(Some(Snapshot { seq, bytes, path }));
        }
        self.disk.remove(&path)?;
        Ok(None)
    }

    /// Writes an archive of `index`, which must not change meanwhile; `None` if `stop` ended it.
    pub(crate) fn archive(
        &self,
        index: &dyn IndexBackend,
        target: Target,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Summary>> {
        let contents = index.contents()?;
        let mut writer = archive::Writer::create(self.disk.clone(), target, self.store, contents.position())?;
        let mut found = contents.emptied();
        let mut failed = Ok(());
        let mut stopped = false;
        index.scan(&[], &[u8::MAX], &mut |key: &[u8], value: &[u8]| {
            found.add(key, value);
            failed = writer.add(key, value);
            stopped = stop();
            if failed.is_err() || stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        failed?;
        if stopped {
            return Ok(None);
        }
        if found != contents {
            let why = format!(
                "it holds {} records instead of {}, or different ones",
                found.records, contents.records
            );
            return Err(Failure::Corrupt { place: "the index".to_owned(), why }.into());
        }
        writer.finish().map(Some)
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
        self.dir.join(name_of(seq))
    }
}
