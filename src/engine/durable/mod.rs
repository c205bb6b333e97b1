//! The durable engine: a write-ahead log, a memtable, and an index that is brought
//! up to date behind the commits.
//!
//! ```text
//! commit -> log (write, and fdatasync if Synced) -> memtable -> acknowledged
//!                                                      |
//!                         checkpoint, in the background v
//!             snapshot  <-  index at `applied`  <-  newest state of each key
//! ```
//!
//! - **A commit** checks its preconditions, appends one entry to the log and puts
//!   its records into the memtable, under one lock that makes the order. Who gets the
//!   lock makes the commits of those who wait for it too, in one write. Syncs are shared
//!   by all who wait for one.
//! - **Reads** ask the memtable first, then the index. A scan takes a view of the
//!   memtable, which costs nothing and stands still; what a checkpoint changes in
//!   the index is what the view has itself.
//! - **A checkpoint** freezes the memtable, syncs the log up to there, waits for
//!   readers without the frozen part, and puts it into the index in bounded
//!   transactions, or batches where the index has nothing to replace. Each checks that the index is where the last checkpoint left it,
//!   and that an owner record is replaced by its successor only. Then the manifest
//!   notes how far index and log have everything.
//! - **A snapshot** is an archive of the index between two checkpoints. Log that it
//!   covers is let go of: snapshot and log are always complete.
//! - **What is synced** is noted outside of the log, too, by the thread that syncs: a log that
//!   ends before that lost something.
//! - **An epoch** is drawn by each opening, and the log says of each commit by which one it
//!   was written: what goes another way than the log, in a copy of the store, is told from it.
//! - **Opening** reads the log after `applied` and judges its end; an index that is
//!   missing, damaged or behind is rebuilt from snapshot and log.
//! - **A failed write or sync** stops the store for good. A disk that is full before
//!   anything was written does not.
//!
//! `docs/durability.md` says what that promises, `docs/format.md` what the files
//! hold.

mod backup;
mod base;
mod browse;
mod checkpoint;
mod close;
mod commit;
mod compact;
mod create;
mod current;
mod figures;
mod gather;
mod home;
#[cfg(test)]
mod interleavings;
mod maintain;
mod memtable;
mod note;
mod options;
mod parts;
mod pressure;
mod queue;
mod read;
mod rebuild;
mod recover;
mod report;
mod shared;
mod signal;
#[cfg(test)]
mod sim;
mod snapshots;
#[cfg(test)]
mod tests;
mod threads;
mod turn;
pub(crate) mod verdict;
mod versions;
pub(crate) mod wal;

use std::sync::Arc;
use std::sync::atomic::Ordering;
#[cfg(feature = "tokio")]
use std::task::{Poll, Waker};

use parking_lot::Mutex;
use uuid::Uuid;

pub(crate) use create::create;
pub use options::Recovery;
pub(crate) use options::{Options, SEGMENT_BYTES_MIN};
pub use report::{OpenReport, Rebuilt, TornTail};
pub(crate) use snapshots::{Snapshot, Snapshots};

use super::{Backup, Batch, Durability, Engine, Feed, Outcome, Stats, Visitor};
use crate::archive::Target;
use crate::disk::{Disk, RealDisk};
use crate::error::{Failure, Result};
use crate::folder::{Folder, SyncedFile};
use crate::index;
use crate::record::{Epoch, Key, KeyRange, Record};
use home::FolderHome;
use parts::Parts;
use shared::Shared;
use threads::Threads;
use wal::Files;

#[derive(Debug)]
pub(crate) struct DurableEngine {
    shared: Arc<Shared>,
    threads: Mutex<Option<Threads>>,
}

impl DurableEngine {
    /// Opens the store in `folder`, and creates it in a new one.
    pub(crate) fn open(folder: Folder, index: &index::Options, options: &Options) -> Result<Self> {
        let place = folder.layout().root().display().to_string();
        let parts = parts_of(folder, index, options)?;
        let shared = Arc::new(Shared::open(parts, options.clone(), place)?);
        let threads = Threads::spawn(&shared)?;
        Ok(Self { shared, threads: Mutex::new(Some(threads)) })
    }

    /// Makes the index of the store in `folder` anew, and deletes what log it does not
    /// need, where that takes less than there is.
    pub(crate) fn compact(folder: Folder, index: &index::Options, options: &Options) -> Result<()> {
        let place = folder.layout().root().display().to_string();
        // What is left of the log fits into the shortest segment.
        let options = Options { segment_bytes: SEGMENT_BYTES_MIN, ..options.clone() };
        let parts = parts_with(folder, &options, |folder| FolderHome::keeping(folder, index.clone()))?;
        Shared::open(parts, options, place)?.compact()
    }

    /// What opening found and did.
    pub(crate) fn report(&self) -> &OpenReport {
        &self.shared.report
    }
}

fn parts_of(folder: Folder, index: &index::Options, options: &Options) -> Result<Parts> {
    parts_with(folder, options, |folder| FolderHome::new(folder, index.clone()))
}

fn parts_with(folder: Folder, options: &Options, home: impl FnOnce(Folder) -> FolderHome) -> Result<Parts> {
    let id = Uuid::parse_str(&folder.manifest().id).map_err(|error| Failure::Corrupt {
        place: format!("the manifest of {}", folder.layout().root().display()),
        why: format!("its id is none: {error}"),
    })?;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::creating(folder.mode()));
    let store = id.into_bytes();
    let layout = folder.layout();
    let log = Files {
        disk: disk.clone(),
        dir: layout.wal(),
        store,
        segment_bytes: options.segment_bytes,
        epoch: Epoch::draw(),
    };
    let synced = SyncedFile { disk: disk.clone(), folder: layout.root().to_owned(), store };
    let snapshots = Snapshots { disk, dir: layout.snapshots(), store };
    Ok(Parts { home: Arc::new(home(folder)), log, synced, snapshots })
}

impl Engine for DurableEngine {
    fn get(&self, key: &Key) -> Result<Option<Record>> {
        self.shared.get(key)
    }

    fn scan(&self, range: &KeyRange, visit: &mut Visitor<'_>) -> Result<()> {
        self.shared.scan(range, visit)
    }

    fn commit(&self, batch: Batch, durability: Durability) -> Result<Outcome> {
        self.shared.commit(batch, durability)
    }

    fn sync(&self) -> Result<()> {
        self.shared.with_base(|_| self.shared.sync())
    }

    #[cfg(feature = "tokio")]
    fn poll_synced(&self, seq: u64, waker: &Waker) -> Poll<Result<()>> {
        self.shared.poll_synced(seq, waker)
    }

    #[cfg(feature = "tokio")]
    fn is_ready(&self) -> Result<bool> {
        self.shared.is_ready()
    }

    fn last_seq(&self) -> u64 {
        self.shared.last_seq.load(Ordering::Acquire)
    }

    fn feed(&self) -> &Feed {
        &self.shared.feed
    }

    fn backup(&self, target: &Target) -> Result<Backup> {
        self.shared.backup(target)
    }

    fn browse_log(&self, after: u64, visit: &mut wal::Visitor<'_>) -> Result<()> {
        self.shared.browse_log(after, visit)
    }

    fn stats(&self) -> Result<Stats> {
        self.shared.stats()
    }

    fn close(&self) -> Result<()> {
        if let Some(threads) = self.threads.lock().take() {
            threads.stop(&self.shared);
        }
        self.shared.close()
    }
}

impl Drop for DurableEngine {
    fn drop(&mut self) {
        // Whoever wants to know calls `close`.
        let _ = self.close();
    }
}
