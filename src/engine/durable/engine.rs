//! The durable engine: its parts put together.

use std::sync::Arc;
use std::sync::atomic::Ordering;
#[cfg(feature = "tokio")]
use std::task::{Poll, Waker};

use parking_lot::Mutex;

use super::options::{Options, SEGMENT_BYTES_MIN};
use super::report::OpenReport;
use super::shared::Shared;
use super::storage::StoreFiles;
use super::threads::Threads;
use super::wal;
use crate::archive::Target;
use crate::engine::{Backup, Batch, Durability, Engine, Feed, Outcome, Stats, Visitor};
use crate::error::Result;
use crate::folder::Folder;
use crate::index;
use crate::record::{Key, KeyRange, Record};

#[derive(Debug)]
pub(crate) struct DurableEngine {
    shared: Arc<Shared>,
    threads: Mutex<Option<Threads>>,
}

impl DurableEngine {
    /// Opens the store in `folder`, and creates it in a new one.
    pub(crate) fn open(folder: Folder, index: &index::Options, options: &Options) -> Result<Self> {
        let place = folder.layout().root().display().to_string();
        let files = StoreFiles::new(folder, index, options.segment_bytes)?;
        let shared = Arc::new(Shared::open(files, options.clone(), place)?);
        let threads = Threads::spawn(&shared)?;
        Ok(Self { shared, threads: Mutex::new(Some(threads)) })
    }

    /// Makes the index of the store in `folder` anew, and deletes what log it does not
    /// need, where that takes less than there is.
    pub(crate) fn compact(folder: Folder, index: &index::Options, options: &Options) -> Result<()> {
        let place = folder.layout().root().display().to_string();
        // What is left of the log fits into the shortest segment.
        let options = Options { segment_bytes: SEGMENT_BYTES_MIN, ..options.clone() };
        let files = StoreFiles::keeping_index(folder, index, options.segment_bytes)?;
        Shared::open(files, options, place)?.compact()
    }

    /// What opening found and did.
    pub(crate) fn report(&self) -> &OpenReport {
        &self.shared.report
    }
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
        self.shared.with_index(|_| self.shared.sync())
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
