//! The change feed: what was committed, in order.

#[cfg(feature = "tokio")]
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::engine::{Commit, Received, Subscription, Written};
use crate::model::List;
use crate::record::{Address, Slot};
use crate::store::Store;

/// How many commits a watch buffers by default.
const CAPACITY: usize = 4096;

/// The commits on processes whose names begin with a prefix; see [`Store::watch`].
///
/// A watch never slows a writer down: a reader that falls behind by more than 4096 commits receives
/// [`Event::Missed`], and should then read again what it needs. Readers that only poll use
/// [`Changes`](crate::Changes).
#[derive(Debug)]
pub struct Watch {
    subscription: Subscription,
    prefix: String,
}

/// An event of a [`Watch`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// One commit. Its changes became visible together.
    Committed {
        /// Its sequence number, which increases from commit to commit.
        seq: u64,
        /// Its changes; never empty.
        changes: Vec<Change>,
    },
    /// The reader was too slow and lost this many commits (on any process). Later ones follow.
    Missed(u64),
}

/// One record that a commit wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The process.
    pub process: String,
    /// The changed part.
    pub what: Changed,
    /// Whether the record was removed; otherwise it was written.
    pub removed: bool,
}

/// The part of a process that changed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Changed {
    /// Its owner: it was created, claimed, released or imported.
    Owner,
    /// Its settings or schedule, or which work is registered.
    Settings,
    /// The status of its run.
    Status,
    /// Its totals.
    Totals,
    /// A work item, on this list.
    Work {
        /// The list.
        list: List,
        /// The name of the item.
        name: String,
    },
    /// Its past runs.
    History,
}

impl Store {
    /// Watches commits on processes whose names begin with `prefix` (`""`: all), from now on.
    ///
    /// A commit is delivered once reads see it, which may be shortly before it survives power loss.
    ///
    /// ```
    /// # use procstate::{Changed, Event, Params, Store};
    /// # use std::time::Duration;
    /// # let store = Store::in_memory();
    /// let watch = store.watch("gc");
    /// store.process("gckeys")?.register("project-1", Params::new())?;
    /// let Some(Event::Committed { changes, .. }) = watch.next_within(Duration::from_secs(1)) else {
    ///     panic!("nothing came");
    /// };
    /// assert!(changes.iter().any(|change| matches!(&change.what, Changed::Work { name, .. } if name == "project-1")));
    /// # Ok::<(), procstate::Error>(())
    /// ```
    #[must_use]
    pub fn watch(&self, prefix: &str) -> Watch {
        Watch { subscription: self.inner.engine.feed().subscribe(CAPACITY), prefix: prefix.to_owned() }
    }
}

impl Watch {
    /// Returns the next event if one arrives within `timeout`; `None` also once the store is
    /// closed.
    #[must_use]
    pub fn next_within(&self, timeout: Duration) -> Option<Event> {
        let deadline = std::time::Instant::now().checked_add(timeout);
        loop {
            let remaining =
                deadline.map(|deadline| deadline.saturating_duration_since(std::time::Instant::now()));
            match self.event(self.subscription.receive(remaining)) {
                Heard::Event(event) => return Some(event),
                Heard::End => return None,
                Heard::Elsewhere => {}
            }
        }
    }

    /// Polls for the next event; `None` once the store is closed.
    #[cfg(feature = "tokio")]
    pub(crate) fn poll(&self, waker: &Waker) -> Poll<Option<Event>> {
        loop {
            let Poll::Ready(received) = self.subscription.poll(waker) else { return Poll::Pending };
            match self.event(received) {
                Heard::Event(event) => return Poll::Ready(Some(event)),
                Heard::End => return Poll::Ready(None),
                Heard::Elsewhere => {}
            }
        }
    }

    fn event(&self, received: Received) -> Heard {
        match received {
            Received::Missed(missed) => Heard::Event(Event::Missed(missed)),
            Received::Nothing | Received::Closed => Heard::End,
            Received::Commit(Commit { seq, keys }) => {
                let changes: Vec<Change> = keys
                    .iter()
                    .filter_map(|(key, written)| Some(change(key.address()?, *written)))
                    .filter(|change| change.process.starts_with(&self.prefix))
                    .collect();
                if changes.is_empty() {
                    Heard::Elsewhere
                } else {
                    Heard::Event(Event::Committed { seq, changes })
                }
            }
        }
    }
}

enum Heard {
    Event(Event),
    /// A commit on processes outside of the watch's prefix.
    Elsewhere,
    End,
}

/// Iterates over all events until the store is closed.
impl Iterator for Watch {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        loop {
            match self.event(self.subscription.receive(None)) {
                Heard::Event(event) => return Some(event),
                Heard::End => return None,
                Heard::Elsewhere => {}
            }
        }
    }
}

pub(super) fn change(address: Address, written: Written) -> Change {
    let what = match address.slot {
        Slot::Owner => Changed::Owner,
        Slot::Settings => Changed::Settings,
        Slot::Status => Changed::Status,
        Slot::Totals => Changed::Totals,
        Slot::Item(list, name) => Changed::Work { list, name },
        Slot::History { .. } => Changed::History,
    };
    Change { process: address.process, what, removed: written == Written::Deleted }
}
