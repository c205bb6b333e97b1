//! Opening a store with other than the usual options.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::{Inner, Liveness, Store};
use crate::clock::{Clock, SystemClock};
use crate::engine::{self, DirectEngine, Engine, MemoryEngine};
use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::index;

/// Below this a store would do nothing but sync.
const SYNC_INTERVAL_MIN: Duration = Duration::from_millis(1);

/// Options of a store; made by [`Store::builder`].
#[derive(Debug, Clone)]
pub struct StoreBuilder {
    clock: Arc<dyn Clock>,
    create: bool,
    history_max: usize,
    engine: engine::Options,
}

impl StoreBuilder {
    pub(super) fn new() -> Self {
        Self {
            clock: Arc::new(SystemClock::new()),
            create: true,
            history_max: 100,
            engine: engine::Options {
                index: index::Options { cache_bytes: 16 << 20, verify: true },
                sync_interval: Duration::from_millis(200),
            },
        }
    }

    /// Takes times from `clock` instead of the machine's.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Whether opening creates a store where there is none. Default: yes.
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
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
        self.store(Box::new(MemoryEngine::new()), None)
    }

    /// How long a [`Buffered`](crate::Durability::Buffered) write may wait for its
    /// sync: what a power loss can take of them. At least 1 ms; for a write that
    /// waits for none there is [`Synced`](crate::Durability::Synced). Default:
    /// 200 ms.
    #[must_use]
    pub fn sync_interval(mut self, interval: Duration) -> Self {
        self.engine.sync_interval = interval;
        self
    }

    /// Memory for the cache of the index, in bytes. Default: 16 MiB.
    #[must_use]
    pub fn cache_bytes(mut self, bytes: u64) -> Self {
        self.engine.index.cache_bytes = bytes;
        self
    }

    /// Whether opening reads every record and compares the whole with what was
    /// written, so that damage is found then and not later, or never. Takes about
    /// a second for a million records. Default: yes.
    #[must_use]
    pub fn verify(mut self, verify: bool) -> Self {
        self.engine.index.verify = verify;
        self
    }

    /// Opens the store in the folder `path`, and creates it if there is none.
    ///
    /// # Errors
    ///
    /// As [`Store::open`]; [`is_not_found`](crate::Error::is_not_found) if there
    /// is no store and none is to be created; [`is_invalid`](crate::Error::is_invalid)
    /// if an option makes no sense.
    pub fn open(self, path: impl AsRef<Path>) -> Result<Store> {
        let path = path.as_ref();
        let interval = self.engine.sync_interval;
        if interval < SYNC_INTERVAL_MIN {
            let why = format!("a sync interval of {interval:?}; it must be at least {SYNC_INTERVAL_MIN:?}");
            return Err(Error::argument(why));
        }
        let engine = DirectEngine::open(Folder::open(path, self.create)?, &self.engine)?;
        Ok(self.store(Box::new(engine), Some(path.to_owned())))
    }

    fn store(self, engine: Box<dyn Engine>, path: Option<PathBuf>) -> Store {
        Store {
            inner: Arc::new(Inner {
                engine,
                clock: self.clock,
                opening: Uuid::now_v7().to_string(),
                liveness: Liveness::default(),
                history_max: self.history_max,
                path,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_would_only_sync_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let open = |interval| StoreBuilder::new().sync_interval(interval).open(folder.path());
        for interval in [Duration::ZERO, Duration::from_micros(999)] {
            let error = open(interval).unwrap_err();
            assert!(error.is_invalid() && error.to_string().ends_with("at least 1ms"), "{error}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        open(SYNC_INTERVAL_MIN).unwrap();
    }
}
