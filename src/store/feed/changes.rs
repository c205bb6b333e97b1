//! The coalescing change feed, for readers that poll.

#[cfg(feature = "tokio")]
use std::future::poll_fn;
use std::time::Duration;

use super::watch::{Change, change};
use crate::engine;
use crate::store::Store;

/// The records that changed since the last call of [`take`](Changes::take), in processes whose
/// names begin with a prefix; see [`Store::changes`].
///
/// A [`Watch`](crate::Watch) delivers every commit; this delivers each changed record once, however
/// often it was written in between, which suits dashboards and caches. It costs writers less than a
/// watch and never blocks them.
///
/// ```
/// use procstate::{Params, Store};
/// use std::time::Duration;
///
/// let store = Store::in_memory();
/// let changes = store.changes("", 1000);
/// store.process("gckeys")?.register("project-1", Params::new())?;
/// assert!(changes.wait(Duration::from_secs(1)));
/// assert!(changes.take().is_some());
/// # Ok::<(), procstate::Error>(())
/// ```
#[derive(Debug)]
pub struct Changes {
    changes: engine::Changes,
    prefix: String,
}

/// The changes between two calls of [`Changes::take`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChangeSet {
    /// The last commit included, on any process; 0 if there was none.
    pub seq: u64,
    /// Each changed record with its last change, unordered.
    pub changes: Vec<Change>,
    /// Whether more records changed than the capacity allows; then read again what you need.
    pub is_incomplete: bool,
}

impl Store {
    /// Collects the records that change from now on in processes whose names begin with `prefix`
    /// (`""`: all).
    ///
    /// It keeps at most `capacity` records between two calls of [`take`](Changes::take), including
    /// those of other processes.
    ///
    /// ```
    /// # use procstate::{Params, Store};
    /// # let store = Store::in_memory();
    /// let changes = store.changes("gc", 1000);
    /// let process = store.process("gckeys")?;
    /// for n in 0..10 {
    ///     process.register("project-1", Params::new().int("n", n))?;
    /// }
    /// let Some(changed) = changes.take() else { panic!("the store is closed") };
    /// assert!(!changed.is_incomplete && changed.changes.len() < 10);
    /// # Ok::<(), procstate::Error>(())
    /// ```
    #[must_use]
    pub fn changes(&self, prefix: &str, capacity: usize) -> Changes {
        Changes { changes: self.inner.engine.feed().gather(capacity), prefix: prefix.to_owned() }
    }
}

impl Changes {
    /// Returns what changed since the last call, possibly nothing, without blocking; `None` once
    /// the store is closed and all changes were taken.
    #[must_use]
    pub fn take(&self) -> Option<ChangeSet> {
        let engine::ChangedKeys { seq, keys, is_incomplete } = self.changes.take()?;
        let changes = keys.into_iter().filter_map(|(key, written)| Some(change(key.address()?, written)));
        let changes = changes.filter(|change| change.process.starts_with(&self.prefix)).collect();
        Some(ChangeSet { seq, changes, is_incomplete })
    }

    /// Waits until a record of any process changes or the store is closed, for at most `timeout`;
    /// returns whether that happened.
    #[must_use]
    pub fn wait(&self, timeout: Duration) -> bool {
        self.changes.wait(timeout)
    }

    /// Waits until a record of any process changes or the store is closed.
    ///
    /// Cancellation-safe: dropping the future loses no change.
    ///
    /// ```
    /// use procstate::{Params, Store};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> procstate::Result<()> {
    /// let store = Store::in_memory();
    /// let mut changes = store.changes("", 1000);
    /// store.process("gckeys")?.register("project-1", Params::new())?;
    /// changes.ready().await;
    /// assert!(changes.take().is_some());
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "tokio")]
    pub async fn ready(&mut self) {
        poll_fn(|cx| self.changes.poll(cx.waker())).await;
    }
}
