//! An engine that records every acknowledged commit.

use std::collections::BTreeMap;
use std::sync::Arc;
#[cfg(feature = "tokio")]
use std::task::{Poll, Waker};

use parking_lot::Mutex;

use crate::archive::Target;
use crate::engine::{Backup, Batch, Durability, Engine, Feed, MemoryEngine, Outcome, Stats, Visitor, Write};
use crate::error::Result;
use crate::fuzzing::fixture::content::Content;
use crate::record::{Key, KeyRange, Record};
use crate::store::Store;

/// The writes of each commit.
#[derive(Debug, Clone, Default)]
pub(super) struct Commits {
    writes: Arc<Mutex<BTreeMap<u64, Vec<Write>>>>,
}

impl Commits {
    /// Returns a copy of the history that continues separately.
    pub(super) fn fork(&self) -> Self {
        Self { writes: Arc::new(Mutex::new(self.writes.lock().clone())) }
    }

    /// Records every commit to `store` from now on.
    pub(super) fn record(&self, mut store: Store) -> Store {
        let inner = Arc::get_mut(&mut store.inner).unwrap();
        let engine = std::mem::replace(&mut inner.engine, Arc::new(MemoryEngine::default()));
        inner.engine = Arc::new(Recorder { engine, commits: self.clone() });
        store
    }

    /// Returns the content of the store after each commit.
    pub(super) fn states(&self) -> BTreeMap<u64, Content> {
        let mut states = BTreeMap::from([(0, Content::new())]);
        let mut now = Content::new();
        for (seq, writes) in &*self.writes.lock() {
            for write in writes {
                match write {
                    Write::Put { key, payload } => now.insert(key.bytes().clone(), (*seq, payload.clone())),
                    Write::Delete { key } => now.remove(key.bytes()),
                };
            }
            states.insert(*seq, now.clone());
        }
        states
    }
}

struct Recorder {
    engine: Arc<dyn Engine>,
    commits: Commits,
}

impl Engine for Recorder {
    fn get(&self, key: &Key) -> Result<Option<Record>> {
        self.engine.get(key)
    }

    fn as_of(&self) -> u64 {
        self.engine.as_of()
    }

    fn get_since(&self, record: Record, as_of: u64) -> Result<Option<Record>> {
        self.engine.get_since(record, as_of)
    }

    fn scan(&self, range: &KeyRange, visit: &mut Visitor<'_>) -> Result<()> {
        self.engine.scan(range, visit)
    }

    fn commit(&self, batch: Batch, durability: Durability) -> Result<Outcome> {
        let writes = batch.writes.clone();
        let outcome = self.engine.commit(batch, durability)?;
        if let (Outcome::Committed(seq), false) = (outcome, writes.is_empty()) {
            self.commits.writes.lock().insert(seq, writes);
        }
        Ok(outcome)
    }

    fn sync(&self) -> Result<()> {
        self.engine.sync()
    }

    #[cfg(feature = "tokio")]
    fn poll_synced(&self, seq: u64, waker: &Waker) -> Poll<Result<()>> {
        self.engine.poll_synced(seq, waker)
    }

    #[cfg(feature = "tokio")]
    fn is_ready(&self) -> Result<bool> {
        self.engine.is_ready()
    }

    fn last_seq(&self) -> u64 {
        self.engine.last_seq()
    }

    fn feed(&self) -> &Feed {
        self.engine.feed()
    }

    fn backup(&self, target: &Target) -> Result<Backup> {
        self.engine.backup(target)
    }

    fn stats(&self) -> Result<Stats> {
        self.engine.stats()
    }

    fn close(&self) -> Result<()> {
        self.engine.close()
    }
}
