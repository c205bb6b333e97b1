//! The state guarded by the writer lock.

use std::sync::Arc;

use super::back_pressure::Backlog;
use super::queue::PendingCommit;
use super::version_cache::VersionCache;
use crate::engine::Batch;
use crate::engine::durable::memtable::Generation;
use crate::engine::durable::wal::Log;

/// The end of the log, and the time of the last freeze of the memtable.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) log: Log,
    /// The amount of log written before the last freeze of the memtable.
    pub(super) frozen_at: u64,
    pub(super) versions: VersionCache,
    /// Commits not written to the log yet. Empty outside of a write group.
    pub(super) staged: Vec<StagedCommit>,
}

/// A commit about to be written to the log.
#[derive(Debug)]
pub(super) struct StagedCommit {
    pub(super) seq: u64,
    pub(super) batch: Batch,
    pub(super) replaced: ReplacedOwners,
    /// The thread that waits for it; `None` for the one that leads the group.
    pub(super) pending: Option<Arc<PendingCommit>>,
}

/// The version that each write of an owner record replaces, by the index of the write; 0 for none.
#[derive(Debug)]
pub(super) struct ReplacedOwners(pub(super) Vec<(usize, u64)>);

impl ReplacedOwners {
    pub(super) fn by(&self, write: usize) -> Option<u64> {
        self.0.iter().find(|(at, _)| *at == write).map(|(_, version)| *version)
    }
}

impl Writer {
    pub(super) fn new(log: Log) -> Self {
        Self { log, frozen_at: 0, versions: VersionCache::default(), staged: Vec::new() }
    }

    pub(super) fn backlog(&self, active: &Generation) -> Backlog {
        Backlog {
            memtable_bytes: active.bytes(),
            unfrozen_log_bytes: self.log.written() - self.frozen_at,
            log_bytes: self.log.retained(),
        }
    }
}
