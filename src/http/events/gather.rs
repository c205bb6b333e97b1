//! The one reader of the change feed.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::block::Gathered;
use super::ring::Ring;
use crate::tokio::Events;
use crate::{Result, Store};

/// The shortest time between two events.
const INTERVAL_MIN: Duration = Duration::from_millis(200);

/// The same for each client: however many listen, they are told 500 times a second together.
const INTERVAL_PER_CLIENT: Duration = Duration::from_millis(2);

/// How often the feed is emptied meanwhile: it keeps some thousand commits.
const LOOK: Duration = Duration::from_millis(8);

/// What all clients listen to.
#[derive(Debug)]
pub(in crate::http) struct Hub {
    state: Mutex<State>,
    /// Moves with each block.
    moved: watch::Sender<u64>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) ring: Ring,
    /// Whether anybody reads the feed.
    is_on: bool,
}

/// The change feed from a commit on.
pub(super) struct Watched {
    events: Events,
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

    /// Begins to watch the store: it may read it.
    pub(super) fn watch(&self, store: &Store) -> Result<Watched> {
        let events = store.watch("").into_stream();
        let since = store.last_seq();
        // What the feed still has to tell of the commits up to `since`, it tells before this
        // answers.
        store.check_usable()?;
        Ok(Watched { events, since })
    }

    /// Has a task of the runtime read the feed, unless one does.
    pub(super) fn start(self: &Arc<Self>, Watched { events, since }: Watched) {
        let mut state = self.state.lock();
        if !state.is_on {
            // Blocks keep their numbers: clients of an earlier reader may be about.
            state.ring = Ring::new(state.ring.end(), since);
            state.is_on = true;
            tokio::spawn(read(On(Arc::downgrade(self)), events, since));
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

    fn publish(&self, gathered: &mut Gathered) {
        let mut state = self.state.lock();
        let block = gathered.take(state.ring.seq());
        state.ring.push(block);
        self.moved.send_replace(state.ring.end());
    }
}

/// The reader of a hub, for as long as there is one. Whatever ends it, the clients hear.
struct On(Weak<Hub>);

impl Drop for On {
    fn drop(&mut self) {
        if let Some(hub) = self.0.upgrade() {
            hub.state.lock().is_on = false;
            hub.moved.send_modify(|_| {});
        }
    }
}

async fn read(on: On, mut events: Events, since: u64) {
    let mut gathered = Gathered::default();
    while let Some(event) = events.next().await {
        gathered.add_after(since, event);
        let Some(interval) = publish(&on, &mut gathered) else { return };
        let until = Instant::now() + interval;
        while Instant::now() < until {
            sleep(LOOK).await;
            while let Some(Some(event)) = events.next().now_or_never() {
                gathered.add_after(since, event);
            }
        }
        if publish(&on, &mut gathered).is_none() {
            return;
        }
    }
}

/// How long to wait with the next event; `None` once nobody can listen any more.
fn publish(on: &On, gathered: &mut Gathered) -> Option<Duration> {
    let hub = on.0.upgrade()?;
    if !gathered.is_empty() {
        hub.publish(gathered);
    }
    Some(hub.interval())
}
