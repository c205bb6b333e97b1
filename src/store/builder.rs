//! Opening a store with other than the usual options.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{Inner, Store};
use crate::clock::Clock;
use crate::disk::mode;
use crate::engine::{
    self, DurableEngine, Engine, InProgram, Liveness, MemoryEngine, OpenReport, Recovery, SEGMENT_BYTES_MIN,
};
#[cfg(feature = "etcd")]
use crate::engine::{EtcdEngine, EtcdOptions};
use crate::error::Result;
use crate::folder::Folder;
use crate::index;

/// Options of a store; made by [`Store::builder`].
///
/// ```
/// use procstate::{Recovery, Store, SystemClock};
/// use std::time::Duration;
///
/// # let folder = tempfile::tempdir()?;
/// let store = Store::builder()
///     .create(true)
///     .private(true)
///     .clock(SystemClock::new())
///     .history(100)
///     .recovery(Recovery::default())
///     .sync_interval(Duration::from_millis(100))
///     .memtable_bytes(16 << 20)
///     .segment_bytes(4 << 20)
///     .snapshot_log_bytes(64 << 20)
///     .log_history_bytes(256 << 10)
///     .cache_bytes(16 << 20)
///     .open(folder.path().join("state"))?;
/// assert!(store.open_report().rebuilt.is_none());
/// assert!(!store.is_remote());
/// store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct StoreBuilder {
    create: bool,
    /// That of the files of a new store.
    mode: u32,
    history_max: usize,
    engine: engine::Options,
    index: index::Options,
}

impl Store {
    /// Opens a store with other than the usual options.
    #[must_use]
    pub fn builder() -> StoreBuilder {
        StoreBuilder::new()
    }
}

impl StoreBuilder {
    pub(super) fn new() -> Self {
        Self {
            create: true,
            mode: mode::PRIVATE,
            history_max: 100,
            engine: engine::Options::default(),
            index: index::Options::default(),
        }
    }

    /// Takes times from `clock` instead of the machine's.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.engine.clock = Arc::new(clock);
        self
    }

    /// Whether opening creates a store where there is none. Default: yes.
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Whether a new store is for its user alone: its folders have the mode 0700, its files
    /// 0600. Otherwise who may read it is up to the umask, and what is made in the store later
    /// has the mode of its `MANIFEST`. Default: yes.
    #[must_use]
    pub fn private(mut self, private: bool) -> Self {
        self.mode = if private { mode::PRIVATE } else { mode::OPEN };
        self
    }

    /// How many past runs of each process are kept; at least 1. Default: 100.
    #[must_use]
    pub fn history(mut self, runs: usize) -> Self {
        self.history_max = runs.max(1);
        self
    }

    /// A store that lives in memory and is gone with its last handle.
    #[must_use]
    pub fn in_memory(self) -> Store {
        self.store(Arc::new(MemoryEngine::new()), OpenReport::default(), None)
    }

    /// How long a [`Buffered`](crate::Durability::Buffered) write may wait for its
    /// sync: what a power loss can take of them. For a write that waits for none
    /// there is [`Synced`](crate::Durability::Synced). Default: 200 ms; at least
    /// 1 ms.
    #[must_use]
    pub fn sync_interval(mut self, interval: Duration) -> Self {
        self.engine.sync_interval = interval.max(Duration::from_millis(1));
        self
    }

    /// Memory for what the log has and the index does not yet, in bytes: beyond it
    /// writers wait for the disk. One large import is let in all the same.
    /// Default: 64 MiB; at least 64 KiB.
    #[must_use]
    pub fn memtable_bytes(mut self, bytes: usize) -> Self {
        self.engine.memtable_bytes = bytes.max(64 << 10);
        self
    }

    /// The length of the files of the log, which are written in full when they are
    /// made, and used again. Default: 4 MiB; from 16 KiB to 1 GiB, in steps of 4 KiB.
    #[must_use]
    pub fn segment_bytes(mut self, bytes: u32) -> Self {
        self.engine.segment_bytes = bytes.clamp(SEGMENT_BYTES_MIN, 1 << 30) & !4095;
        self
    }

    /// How much log there is at least, in bytes, when a snapshot is written that
    /// makes it superfluous. The log is let outgrow the state first, so that
    /// snapshots do not cost more than the commits. Default: 64 MiB; at least
    /// 64 KiB.
    #[must_use]
    pub fn snapshot_log_bytes(mut self, bytes: u64) -> Self {
        self.engine.snapshot_log_bytes = bytes.max(64 << 10);
        self
    }

    /// How much log a closed store keeps at most of what it could do without, in bytes, for
    /// `procstate log` and `procstate restore --until`, which go back as far as the log does. A
    /// store that is closed with more writes a snapshot of its state and lets go of all of it,
    /// unless the state takes more of the disk than the log. An open one lets go of log by
    /// [`snapshot_log_bytes`](Self::snapshot_log_bytes), which bounds this. Default: 256 KiB.
    #[must_use]
    pub fn log_history_bytes(mut self, bytes: u64) -> Self {
        self.engine.log_history_bytes = bytes;
        self
    }

    /// Memory for the cache of the index, in bytes; sled uses a multiple of it.
    /// Default: 16 MiB; at least 1 MiB.
    #[must_use]
    pub fn cache_bytes(mut self, bytes: u64) -> Self {
        self.index.cache_bytes = bytes.max(1 << 20);
        self
    }

    /// Whether opening reads every record and all of the log and compares them with
    /// what was written, so that damage is found, and mended, while there is
    /// another copy of everything. Takes a few seconds for a million records.
    /// Default: yes.
    #[must_use]
    pub fn verify(mut self, verify: bool) -> Self {
        self.index.verify = verify;
        self.engine.verify_log = verify;
        self
    }

    /// What opening does about damaged log that nothing else has. Default:
    /// [`Refuse`](Recovery::Refuse).
    #[must_use]
    pub fn recovery(mut self, recovery: Recovery) -> Self {
        self.engine.recovery = recovery;
        self
    }

    /// Opens the store in the folder `path`, and creates it if there is none.
    ///
    /// # Errors
    ///
    /// As [`Store::open`]; [`is_not_found`](crate::Error::is_not_found) if there
    /// is no store and none is to be created.
    pub fn open(self, path: impl AsRef<Path>) -> Result<Store> {
        let path = path.as_ref();
        let folder = Folder::open_or_create(path, self.create.then_some(self.mode))?;
        let engine = DurableEngine::open(folder, &self.index, &self.engine)?;
        let report = engine.report().clone();
        Ok(self.store(Arc::new(engine), report, Some(path.to_owned())))
    }

    /// Connects to a store in etcd. Of the options those count that are not about files:
    /// clock, history, [`sync_interval`](StoreBuilder::sync_interval).
    ///
    /// # Errors
    ///
    /// As [`Store::connect`].
    #[cfg(feature = "etcd")]
    pub fn connect(self, options: impl std::borrow::Borrow<EtcdOptions>) -> Result<Store> {
        let (engine, liveness) = EtcdEngine::connect(options.borrow(), self.engine.sync_interval)?;
        Ok(self.assemble(Arc::new(engine), Arc::new(liveness), OpenReport::default(), None, false))
    }

    fn store(self, engine: Arc<dyn Engine>, report: OpenReport, path: Option<PathBuf>) -> Store {
        self.assemble(engine, Arc::new(InProgram::new()), report, path, false)
    }

    #[cfg(feature = "http")]
    pub(super) fn remote(
        self,
        engine: Arc<dyn Engine>,
        liveness: Arc<dyn Liveness>,
        path: Option<PathBuf>,
    ) -> Store {
        self.assemble(engine, liveness, OpenReport::default(), path, true)
    }

    fn assemble(
        self,
        engine: Arc<dyn Engine>,
        liveness: Arc<dyn Liveness>,
        report: OpenReport,
        path: Option<PathBuf>,
        is_remote: bool,
    ) -> Store {
        let (clock, history_max) = (self.engine.clock, self.history_max);
        Store { inner: Arc::new(Inner { engine, clock, liveness, history_max, report, path, is_remote }) }
    }
}
