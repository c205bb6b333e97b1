//! A coalescing listener: the keys written since the last look, each once, for listeners that poll.
//! Rewriting the same keys takes no memory and wakes no thread.

use std::collections::HashMap;
use std::sync::Arc;
#[cfg(feature = "tokio")]
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use super::commit::Written;
use crate::record::Key;
use crate::sync::{self, Condvar, Mutex};

/// A listener for which the order of commits does not matter.
#[derive(Debug)]
pub(crate) struct Changes {
    gatherer: Arc<Gatherer>,
}

/// The changes between two looks.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ChangedKeys {
    /// The last commit included.
    pub(crate) seq: u64,
    /// The last write of each key.
    pub(crate) keys: HashMap<Key, Written>,
    /// Whether more keys were written than the capacity allows.
    pub(crate) is_incomplete: bool,
}

#[derive(Debug)]
pub(super) struct Gatherer {
    state: Mutex<State>,
    arrived: Condvar,
    capacity: usize,
}

#[derive(Debug, Default)]
struct State {
    changed: ChangedKeys,
    closed: bool,
    /// The task that waits for changes.
    waker: Option<Waker>,
}

impl Gatherer {
    pub(super) fn new(capacity: usize, closed: bool) -> Self {
        let state = Mutex::new(State { closed, ..State::default() });
        Self { state, arrived: Condvar::new(), capacity: capacity.max(1) }
    }

    pub(super) fn add<'a>(&self, seq: u64, keys: impl Iterator<Item = (&'a Key, Written)>) {
        self.change(|state| {
            state.changed.seq = seq;
            keys.for_each(|(key, written)| state.changed.add(key, written, self.capacity));
        });
    }

    #[cfg(feature = "http")]
    pub(super) fn miss(&self) {
        self.change(|state| state.changed.give_up());
    }

    pub(super) fn close(&self) {
        self.change(|state| state.closed = true);
    }

    /// Applies a change, and wakes the reader if it had nothing before: it takes everything at
    /// once.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        let was_ready = state.is_ready();
        change(&mut state);
        if was_ready {
            return;
        }
        let waker = state.waker.take();
        self.arrived.notify_all();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl ChangedKeys {
    fn add(&mut self, key: &Key, written: Written, capacity: usize) {
        if self.is_incomplete {
            return;
        }
        if let Some(last) = self.keys.get_mut(key) {
            *last = written;
        } else if self.keys.len() < capacity {
            self.keys.insert(key.clone(), written);
        } else {
            self.give_up();
        }
    }

    fn give_up(&mut self) {
        self.is_incomplete = true;
        self.keys.clear();
    }

    fn is_empty(&self) -> bool {
        self.keys.is_empty() && !self.is_incomplete
    }
}

impl State {
    fn is_ready(&self) -> bool {
        self.closed || !self.changed.is_empty()
    }
}

impl Changes {
    pub(super) fn new(gatherer: Arc<Gatherer>) -> Self {
        Self { gatherer }
    }

    /// Returns the changes since the last look, possibly none; `None` once the feed is closed and
    /// all changes were taken.
    pub(crate) fn take(&self) -> Option<ChangedKeys> {
        let mut state = self.gatherer.state.lock();
        let is_over = state.closed && state.changed.is_empty();
        (!is_over).then(|| std::mem::take(&mut state.changed))
    }

    /// Waits for at most `timeout` until there are changes, or the feed is closed.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        let deadline = sync::now().checked_add(timeout);
        let mut state = self.gatherer.state.lock();
        while !state.is_ready() {
            match deadline {
                None => self.gatherer.arrived.wait(&mut state),
                Some(deadline) if sync::now() >= deadline => return false,
                Some(deadline) => {
                    self.gatherer.arrived.wait_until(&mut state, deadline);
                }
            }
        }
        true
    }

    /// Wakes `waker` once there are changes, or the feed is closed.
    ///
    /// Only one task may wait at a time.
    #[cfg(feature = "tokio")]
    pub(crate) fn poll(&self, waker: &Waker) -> Poll<()> {
        let mut state = self.gatherer.state.lock();
        if state.is_ready() {
            return Poll::Ready(());
        }
        state.waker = Some(waker.clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::super::Feed;
    use super::*;
    use crate::engine::Batch;

    fn put(name: &str) -> Batch {
        Batch::new().put(Key::owner(name), bytes::Bytes::new())
    }

    fn delete(name: &str) -> Batch {
        Batch::new().delete(Key::owner(name))
    }

    #[test]
    fn each_key_is_returned_once_with_its_last_write() {
        let feed = Feed::default();
        let changes = feed.gather(10);
        assert!(!changes.wait(Duration::ZERO));
        feed.publish(1, &put("p"));
        feed.publish(2, &put("q"));
        feed.publish(3, &delete("p"));
        assert!(changes.wait(Duration::ZERO));
        let changed = changes.take().unwrap();
        assert_eq!((changed.seq, changed.is_incomplete), (3, false));
        let expected = [(Key::owner("p"), Written::Deleted), (Key::owner("q"), Written::Put)];
        assert_eq!(changed.keys, HashMap::from(expected));
        assert!(changes.take().unwrap().is_empty());
    }

    #[test]
    fn keys_beyond_the_capacity_are_reported() {
        let feed = Feed::default();
        let changes = feed.gather(2);
        ["p", "q", "p", "r", "p"].iter().zip(1..).for_each(|(name, seq)| feed.publish(seq, &put(name)));
        let changed = changes.take().unwrap();
        assert_eq!((changed.seq, changed.keys.len(), changed.is_incomplete), (5, 0, true));
        feed.publish(6, &put("p"));
        assert!(!changes.take().unwrap().is_incomplete);
    }

    #[test]
    fn earlier_writes_are_taken_before_the_end() {
        let feed = Feed::default();
        let changes = feed.gather(2);
        feed.publish(1, &put("p"));
        feed.close();
        assert_eq!(changes.take().unwrap().seq, 1);
        assert!(changes.wait(Duration::from_secs(60)));
        assert_eq!(changes.take(), None);
        assert_eq!(feed.gather(2).take(), None);
    }
}
