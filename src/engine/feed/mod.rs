//! The feed of commits: announces writes to listeners, in order.

mod changes;
mod commit;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Weak};
#[cfg(feature = "tokio")]
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use self::changes::Gatherer;
pub(crate) use self::changes::{ChangedKeys, Changes};
pub(crate) use self::commit::{Commit, Written};
use super::batch::{Batch, Write};
use crate::record::Key;
use crate::sync::{self, AtomicUsize, Condvar, Mutex, Ordering};

/// Announces commits to subscriptions.
///
/// Without listeners it costs one atomic read per commit.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    listening: AtomicUsize,
    listeners: Mutex<Listeners>,
}

#[derive(Debug, Default)]
struct Listeners {
    queues: Vec<Weak<Queue>>,
    gatherers: Vec<Weak<Gatherer>>,
    alarms: Vec<Weak<Watched>>,
    /// Whether the feed is closed, also for later subscriptions.
    closed: bool,
}

/// The next event of a subscription.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Commit(Commit),
    /// The reader was too slow; this many commits were dropped.
    Missed(u64),
    /// Nothing arrived in the given time.
    Nothing,
    /// The store was closed, and all earlier events were delivered.
    Closed,
}

/// A listener with a bounded queue: a writer never waits for a reader.
#[derive(Debug)]
pub(crate) struct Subscription {
    queue: Arc<Queue>,
}

/// Calls a function until dropped; see [`Feed::alarm`].
#[derive(Debug)]
pub(crate) struct Alarm {
    _watched: Arc<Watched>,
}

struct Watched {
    keys: Vec<Key>,
    call: Box<dyn Fn() + Send + Sync>,
}

#[derive(Debug)]
struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    capacity: usize,
}

#[derive(Debug, Default)]
struct State {
    commits: VecDeque<Commit>,
    missed: u64,
    closed: bool,
    /// The task that waits for the next event.
    waker: Option<Waker>,
}

impl Feed {
    pub(crate) fn subscribe(&self, capacity: usize) -> Subscription {
        let mut listeners = self.listeners.lock();
        let state = Mutex::new(State { closed: listeners.closed, ..State::default() });
        let queue = Arc::new(Queue { state, arrived: Condvar::new(), capacity: capacity.max(1) });
        listeners.queues.push(Arc::downgrade(&queue));
        self.count(&listeners);
        Subscription { queue }
    }

    /// Collects the keys written from now on, up to `capacity` between two looks.
    pub(crate) fn gather(&self, capacity: usize) -> Changes {
        let mut listeners = self.listeners.lock();
        let gatherer = Arc::new(Gatherer::new(capacity, listeners.closed));
        listeners.gatherers.push(Arc::downgrade(&gatherer));
        self.count(&listeners);
        Changes::new(gatherer)
    }

    /// Calls `call` after each commit that writes one of `keys`, and when the feed is closed.
    ///
    /// The call happens under the lock of the engine, and must be quick.
    pub(crate) fn alarm(&self, keys: Vec<Key>, call: impl Fn() + Send + Sync + 'static) -> Alarm {
        let watched = Arc::new(Watched { keys, call: Box::new(call) });
        let mut listeners = self.listeners.lock();
        if listeners.closed {
            (watched.call)();
        }
        listeners.alarms.push(Arc::downgrade(&watched));
        self.count(&listeners);
        Alarm { _watched: watched }
    }

    /// Announces a commit.
    ///
    /// Engines call this in commit order, under the lock that orders commits.
    pub(crate) fn publish(&self, seq: u64, batch: &Batch) {
        if self.listening.load(Ordering::Acquire) == 0 {
            return;
        }
        let keys = || batch.writes.iter().map(written);
        let commit = || Commit { seq, keys: keys().map(|(key, written)| (key.clone(), written)).collect() };
        self.announce(seq, keys, commit);
    }

    /// Reports to every listener that commits were missed.
    #[cfg(any(feature = "etcd", feature = "http"))]
    pub(crate) fn miss(&self, commits: u64) {
        let mut listeners = self.listeners.lock();
        each(&mut listeners.queues, |queue| queue.change(|state| state.missed += commits));
        each(&mut listeners.gatherers, |gatherer| gatherer.miss());
        each(&mut listeners.alarms, |watched| (watched.call)());
        self.count(&listeners);
    }

    /// Announces a commit with the keys that it wrote.
    #[cfg(any(feature = "etcd", feature = "http"))]
    pub(crate) fn relay(&self, commit: &Commit) {
        let keys = || commit.keys.iter().map(|(key, written)| (key, *written));
        self.announce(commit.seq, keys, || commit.clone());
    }

    /// Announces the commit `seq`, which wrote `keys`.
    ///
    /// `commit` creates what subscriptions keep of it, if there are any.
    fn announce<'a, K>(&self, seq: u64, keys: impl Fn() -> K, commit: impl FnOnce() -> Commit)
    where
        K: Iterator<Item = (&'a Key, Written)>,
    {
        let mut listeners = self.listeners.lock();
        if !listeners.queues.is_empty() {
            let commit = commit();
            each(&mut listeners.queues, |queue| queue.push(commit.clone()));
        }
        each(&mut listeners.gatherers, |gatherer| gatherer.add(seq, keys()));
        each(&mut listeners.alarms, |watched| {
            if keys().any(|(key, _)| watched.keys.contains(key)) {
                (watched.call)();
            }
        });
        self.count(&listeners);
    }

    /// Reports the end of the feed to every listener.
    pub(crate) fn close(&self) {
        let mut listeners = self.listeners.lock();
        listeners.closed = true;
        each(&mut listeners.queues, |queue| {
            queue.change(|state| state.closed = true);
        });
        each(&mut listeners.gatherers, |gatherer| gatherer.close());
        each(&mut listeners.alarms, |watched| (watched.call)());
        self.count(&listeners);
    }

    fn count(&self, listeners: &Listeners) {
        let listening = listeners.queues.len() + listeners.gatherers.len() + listeners.alarms.len();
        self.listening.store(listening, Ordering::Release);
    }
}

/// Notifies the live listeners, and removes the others.
fn each<T>(listeners: &mut Vec<Weak<T>>, tell: impl Fn(&T)) {
    listeners.retain(|listener| listener.upgrade().inspect(|listener| tell(listener)).is_some());
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("keys", &self.keys).finish_non_exhaustive()
    }
}

fn written(write: &Write) -> (&Key, Written) {
    let written = match write {
        Write::Put { .. } => Written::Put,
        Write::Delete { .. } => Written::Deleted,
    };
    (write.key(), written)
}

impl Queue {
    fn push(&self, commit: Commit) {
        self.change(|state| {
            // A slow reader learns of the gap before any later commit.
            if state.missed > 0 || state.commits.len() == self.capacity {
                state.missed += 1;
            } else {
                state.commits.push_back(commit);
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        change(&mut state);
        let waker = state.waker.take();
        self.arrived.notify_all();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl State {
    /// Returns the next event, if there is one.
    fn next(&mut self) -> Option<Received> {
        if let Some(commit) = self.commits.pop_front() {
            return Some(Received::Commit(commit));
        }
        if self.missed > 0 {
            return Some(Received::Missed(std::mem::take(&mut self.missed)));
        }
        self.closed.then_some(Received::Closed)
    }
}

impl Subscription {
    /// Polls for the next commit.
    ///
    /// Only one task may wait at a time.
    #[cfg(feature = "tokio")]
    pub(crate) fn poll(&self, waker: &Waker) -> Poll<Received> {
        let mut state = self.queue.state.lock();
        match state.next() {
            Some(received) => Poll::Ready(received),
            None => {
                state.waker = Some(waker.clone());
                Poll::Pending
            }
        }
    }

    /// Waits for the next commit, for at most `timeout`; `None` waits forever.
    pub(crate) fn receive(&self, timeout: Option<Duration>) -> Received {
        let deadline = timeout.and_then(|timeout| sync::now().checked_add(timeout));
        let mut state = self.queue.state.lock();
        loop {
            if let Some(received) = state.next() {
                return received;
            }
            match deadline {
                None => self.queue.arrived.wait(&mut state),
                Some(deadline) if sync::now() >= deadline => return Received::Nothing,
                Some(deadline) => {
                    self.queue.arrived.wait_until(&mut state, deadline);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(work: &str) -> Batch {
        Batch::new().put(Key::owner(work), bytes::Bytes::new())
    }

    fn seq(received: Received) -> u64 {
        match received {
            Received::Commit(commit) => commit.seq,
            other => panic!("no commit: {other:?}"),
        }
    }

    #[test]
    fn a_slow_reader_learns_what_it_missed_and_continues() {
        let feed = Feed::default();
        let slow = feed.subscribe(2);
        for n in 1..=5 {
            feed.publish(n, &batch("p"));
        }
        assert_eq!(seq(slow.receive(None)), 1);
        // Still behind: the next commit must not arrive before the gap.
        feed.publish(6, &batch("p"));
        assert_eq!(seq(slow.receive(None)), 2);
        assert_eq!(slow.receive(None), Received::Missed(4));
        feed.publish(7, &batch("p"));
        assert_eq!(seq(slow.receive(None)), 7);
        assert_eq!(slow.receive(Some(Duration::ZERO)), Received::Nothing);
    }

    #[test]
    fn a_closed_feed_is_drained_first() {
        let feed = Feed::default();
        let reader = feed.subscribe(8);
        feed.publish(1, &batch("p"));
        feed.close();
        assert_eq!(seq(reader.receive(None)), 1);
        assert_eq!(reader.receive(None), Received::Closed);
        assert_eq!(feed.subscribe(8).receive(None), Received::Closed);
    }

    #[test]
    fn an_alarm_is_called_for_its_keys_and_the_end() {
        let (feed, calls) = (Feed::default(), Arc::new(AtomicUsize::new(0)));
        let counted = calls.clone();
        let alarm = feed.alarm(vec![Key::owner("p"), Key::settings("p")], move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        feed.publish(1, &batch("p"));
        feed.publish(2, &batch("pp"));
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        feed.close();
        assert_eq!(calls.load(Ordering::Relaxed), 2);
        drop(alarm);
        feed.publish(3, &batch("p"));
        assert_eq!(calls.load(Ordering::Relaxed), 2);
        assert_eq!(feed.listening.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_dropped_subscription_costs_nothing() {
        let feed = Feed::default();
        drop(feed.subscribe(1));
        feed.publish(1, &batch("p"));
        assert_eq!(feed.listening.load(Ordering::Acquire), 0);
    }
}
