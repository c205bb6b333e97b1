//! The index of an open store.

use std::sync::Arc;

use super::shared::Shared;
use super::storage::IndexBackend;
use crate::error::{Failure, Result};
use crate::sync::RwLock;

/// Every call on the store holds a read lock on the index, so that closing waits for running calls.
#[derive(Debug)]
pub(crate) struct OpenIndex {
    shared: Arc<Shared>,
    /// `None` once the store is closed.
    index: RwLock<Option<Box<dyn IndexBackend>>>,
}

impl OpenIndex {
    pub(crate) fn new(shared: Arc<Shared>, index: Box<dyn IndexBackend>) -> Self {
        Self { shared, index: RwLock::new(Some(index)) }
    }

    /// Calls `call` with the index, unless the store is closed or poisoned.
    pub(crate) fn with<T>(&self, call: impl FnOnce(&dyn IndexBackend) -> Result<T>) -> Result<T> {
        // Recursive, because a call from within a scan must not wait behind `close`, which waits
        // for that scan.
        let index = self.index.read_recursive();
        let index = index.as_deref().ok_or(Failure::Closed)?;
        self.shared.poison.check()?;
        call(index)
    }

    /// Takes the index once no call uses it; `None` the second time.
    pub(crate) fn take(&self) -> Option<Box<dyn IndexBackend>> {
        self.index.write().take()
    }
}
