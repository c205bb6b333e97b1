//! Opens a store with options.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{Inner, Store};
use crate::clock::Clock;
use crate::disk::mode;
use crate::engine::{
    self, DurableEngine, Engine, InProgram, Liveness, MemoryEngine, OpenReport, Recovery, SEGMENT_BYTES_MIN,
    Verify,
};
#[cfg(feature = "etcd")]
use crate::engine::{EtcdEngine, EtcdOptions};
use crate::error::Result;
use crate::folder::Folder;
use crate::index;

/// The options for opening a store; see [`Store::builder`].
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
    /// The mode of a new store's files.
    mode: u32,
    history_max: usize,
    engine: engine::Options,
    index: index::Options,
}

impl Store {
    /// Returns the default options for opening a store.
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

    /// Takes times from `clock` instead of the system clock.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.engine.clock = Arc::new(clock);
        self
    }

    /// Sets whether opening creates a missing store. Default: yes.
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Sets whether a new store is accessible to its user alone. Default: yes.
    ///
    /// A private store has folders of mode 0700 and files of mode 0600. Otherwise the umask
    /// decides. Files created in the store later have the mode of its `MANIFEST`.
    #[must_use]
    pub fn private(mut self, private: bool) -> Self {
        self.mode = if private { mode::PRIVATE } else { mode::OPEN };
        self
    }

    /// Sets how many past runs of each process are kept; at least 1. Default: 100.
    #[must_use]
    pub fn history(mut self, runs: usize) -> Self {
        self.history_max = runs.max(1);
        self
    }

    /// Creates a store in memory, which ends with its last handle.
    #[must_use]
    pub fn in_memory(self) -> Store {
        self.store(Arc::new(MemoryEngine::new()), OpenReport::default(), None)
    }

    /// Sets how long a [`Buffered`](crate::Durability::Buffered) write may wait for its sync.
    /// Default: 200 ms; at least 1 ms.
    ///
    /// A power loss can take the writes of this interval. [`Synced`](crate::Durability::Synced)
    /// writes are durable when they return.
    #[must_use]
    pub fn sync_interval(mut self, interval: Duration) -> Self {
        self.engine.sync_interval = interval.max(Duration::from_millis(1));
        self
    }

    /// Sets the size of the memtable, in bytes. Default: 64 MiB; at least 64 KiB.
    ///
    /// The memtable holds what the log has and the index does not yet. Beyond this size writers
    /// wait for the disk; a single larger import is still admitted.
    #[must_use]
    pub fn memtable_bytes(mut self, bytes: usize) -> Self {
        self.engine.memtable_bytes = bytes.max(64 << 10);
        self
    }

    /// Sets the size of a log segment, in bytes. Default: 4 MiB; from 16 KiB to 1 GiB, in steps of
    /// 4 KiB.
    ///
    /// Segments are preallocated in full and recycled.
    #[must_use]
    pub fn segment_bytes(mut self, bytes: u32) -> Self {
        self.engine.segment_bytes = bytes.clamp(SEGMENT_BYTES_MIN, 1 << 30) & !4095;
        self
    }

    /// Sets the minimum amount of log, in bytes, that triggers a snapshot, which makes this log
    /// obsolete. Default: 64 MiB; at least 64 KiB.
    ///
    /// The log must also have outgrown the state, so that snapshots do not cost more than the
    /// commits.
    #[must_use]
    pub fn snapshot_log_bytes(mut self, bytes: u64) -> Self {
        self.engine.snapshot_log_bytes = bytes.max(64 << 10);
        self
    }

    /// Sets how much dispensable log a closed store keeps, in bytes, for `procstate log` and
    /// `procstate restore --until`. If there is more log than this at closing, a snapshot replaces
    /// all of it, unless the index is larger than the log. While the store is open,
    /// [`snapshot_log_bytes`](Self::snapshot_log_bytes) applies. Default: 256 KiB.
    #[must_use]
    pub fn log_history_bytes(mut self, bytes: u64) -> Self {
        self.engine.log_history_bytes = bytes;
        self
    }

    /// Sets the size of the index cache, in bytes; sled uses a multiple of it. Default: 16 MiB; at
    /// least 1 MiB.
    #[must_use]
    pub fn cache_bytes(mut self, bytes: u64) -> Self {
        self.index.cache_bytes = bytes.max(1 << 20);
        self
    }

    /// Sets when the store is verified, which reads every record, the newest snapshot and the log.
    /// Default: [`BeforeOpening`](Verify::BeforeOpening), which `true` also means; `false` means
    /// [`Never`](Verify::Never).
    ///
    /// Verification finds damage, and opening repairs it, while there is another copy of everything.
    /// It takes about a second per million records.
    ///
    /// With [`InBackground`](Verify::InBackground) opening reads only the log, and a thread then
    /// verifies the records and the snapshot. Until that has ended:
    ///
    /// - Reads are served. Each record has a checksum of its own, so no read returns a damaged one; but
    ///   only the verification notices that the index has lost a record or has an older version of
    ///   it.
    /// - Commits and [`Store::backup`] wait, so that nothing acknowledged rests on a damaged state.
    /// - [`Store::close`] ends the verification.
    ///
    /// If it finds damage, every later call fails, and the next opening verifies first and repairs it.
    /// [`Store::wait_until_verified`] waits for the result.
    #[must_use]
    pub fn verify(mut self, verify: impl Into<Verify>) -> Self {
        self.engine.verify = verify.into();
        self
    }

    /// Sets how opening treats damaged log that has no other copy. Default:
    /// [`Refuse`](Recovery::Refuse).
    #[must_use]
    pub fn recovery(mut self, recovery: Recovery) -> Self {
        self.engine.recovery = recovery;
        self
    }

    /// Opens the store in the folder `path`, creating it if there is none.
    ///
    /// # Errors
    ///
    /// As [`Store::open`]; [`is_not_found`](crate::Error::is_not_found) if there is no store and
    /// [`create`](StoreBuilder::create) is off.
    pub fn open(self, path: impl AsRef<Path>) -> Result<Store> {
        let path = path.as_ref();
        let folder = Folder::open_or_create(path, self.create.then_some(self.mode))?;
        let engine = DurableEngine::open(folder, &self.index, &self.engine)?;
        let report = engine.report().clone();
        Ok(self.store(Arc::new(engine), report, Some(path.to_owned())))
    }

    /// Connects to a store in etcd.
    ///
    /// Only options that do not concern files apply: clock, history,
    /// [`sync_interval`](StoreBuilder::sync_interval).
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
