//! The only reader of the change feed.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::sleep;

use super::block::{Block, CHANGES_MAX};
use super::ring::Ring;
use crate::{ChangeSet, Changes, Result, Store};

/// The minimum interval between two events.
const INTERVAL_MIN: Duration = Duration::from_millis(200);

/// The additional interval per client, which limits all of them together to 500 events per second.
const INTERVAL_PER_CLIENT: Duration = Duration::from_millis(2);

/// The hub that all clients listen to.
#[derive(Debug)]
pub(in crate::http) struct Hub {
    state: Mutex<State>,
    /// Changes with each block.
    moved: watch::Sender<u64>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) ring: Ring,
    /// Whether a task reads the feed.
    is_on: bool,
}

/// The change feed from a commit on.
pub(super) struct Watched {
    changes: Changes,
    since: u64,
}

impl Hub {
    pub(in crate::http) fn new() -> Arc<Self> {
        let (moved, _) = watch::channel(0);
        Arc::new(Self { state: Mutex::default(), moved })
    }

    pub(super) fn is_on(&self) -> bool {
        self.state.lock().is_on
    }

    /// Starts to watch the store, which may read it.
    pub(super) fn watch(&self, store: &Store) -> Result<Watched> {
        let changes = store.changes("", CHANGES_MAX);
        let since = store.last_seq();
        // Waits until the feed has delivered all commits up to `since`.
        store.check_usable()?;
        Ok(Watched { changes, since })
    }

    /// Starts a task that reads the feed, unless one is running.
    pub(super) fn start(self: &Arc<Self>, Watched { changes, since }: Watched) {
        let mut state = self.state.lock();
        if !state.is_on {
            // Block numbers continue, for clients of an earlier reader.
            state.ring = Ring::new(state.ring.end(), since);
            state.is_on = true;
            tokio::spawn(read(On(Arc::downgrade(self)), changes));
        }
    }

    pub(super) fn with<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.lock())
    }

    pub(super) fn moves(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }

    fn interval(&self) -> Duration {
        let clients = u32::try_from(self.moved.receiver_count()).unwrap_or(u32::MAX);
        INTERVAL_PER_CLIENT.saturating_mul(clients).max(INTERVAL_MIN)
    }

    fn publish(&self, set: ChangeSet) {
        let mut state = self.state.lock();
        if let Some(block) = Block::new(set, state.ring.seq()) {
            state.ring.push(block);
            self.moved.send_replace(state.ring.end());
        }
    }
}

/// Marks the reader as running; dropping it notifies the clients, however the reader ends.
struct On(Weak<Hub>);

impl Drop for On {
    fn drop(&mut self) {
        if let Some(hub) = self.0.upgrade() {
            hub.state.lock().is_on = false;
            hub.moved.send_modify(|_| {});
        }
    }
}

async fn read(on: On, mut changes: Changes) {
    loop {
        changes.ready().await;
        let (Some(hub), Some(set)) = (on.0.upgrade(), changes.take()) else { return };
        hub.publish(set);
        let interval = hub.interval();
        drop(hub);
        sleep(interval).await;
    }
}
