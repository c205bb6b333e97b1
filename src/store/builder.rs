//! Opening a store with other than the usual options.

use std::sync::Arc;

use uuid::Uuid;

use super::{Inner, Liveness, Store};
use crate::clock::{Clock, SystemClock};
use crate::engine::{Engine, MemoryEngine};
use std::path::PathBuf;

/// Options of a store; made by [`Store::builder`].
#[derive(Debug, Clone)]
pub struct StoreBuilder {
    clock: Arc<dyn Clock>,
    create: bool,
    history_max: usize,
}

impl StoreBuilder {
    pub(super) fn new() -> Self {
        Self { clock: Arc::new(SystemClock::new()), create: true, history_max: 100 }
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

    /// temporary
    pub fn open(self, path: impl AsRef<std::path::Path>) -> crate::Result<Store> {
        let _ = path;
        Ok(self.in_memory())
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
