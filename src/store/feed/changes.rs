//! What changed since the last look: the change feed for those who look now and then.

#[cfg(feature = "tokio")]
use std::future::poll_fn;
use std::time::Duration;

use super::watch::{Change, change};
use crate::engine;
use crate::store::Store;

/// The records of processes whose names begin with a prefix that changed since the last look,
/// from the moment of [`Store::changes`] on.
///
/// Where a [`Watch`](crate::Watch) hears every commit, this hears of each record once, however
/// often it was written in between: what a dashboard or a cache needs. It costs a writer less
/// than a watch, and never holds one up.
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

/// What changed between two looks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChangeSet {
    /// The last commit that it has, on whatever process; 0 if there was none.
    pub seq: u64,
    /// Each record that was written, with what happened to it last; in no order.
    pub changes: Vec<Change>,
    /// More records changed than are kept: read again what you need.
    pub is_incomplete: bool,
}

impl Store {
    /// Gathers which records of processes whose names begin with `prefix` (`""`: all) change
    /// from now on; at most `capacity` of them between two looks, counting those of other
    /// processes.
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
    /// What changed since the last look, perhaps nothing; `None` once the store is closed and
    /// everything before was taken. Blocks for nothing.
    #[must_use]
    pub fn take(&self) -> Option<ChangeSet> {
        let engine::ChangedKeys { seq, keys, is_incomplete } = self.changes.take()?;
        let changes = keys.into_iter().filter_map(|(key, written)| Some(change(key.address()?, written)));
        let changes = changes.filter(|change| change.process.starts_with(&self.prefix)).collect();
        Some(ChangeSet { seq, changes, is_incomplete })
    }

    /// Waits for at most `timeout` until some record changes, of whatever process, or the store
    /// is closed; answers whether one of them happened.
    #[must_use]
    pub fn wait(&self, timeout: Duration) -> bool {
        self.changes.wait(timeout)
    }

    /// Waits until some record changes, of whatever process, or the store is closed.
    /// Cancellation-safe: no change is lost when it is dropped.
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
