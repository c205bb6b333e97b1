//! What is in flight in a run: who works on what, what waits, and what is still to be
//! stored.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::attempt::Attempt;
use super::end::End;
use super::flow_control::FlowControl;
use crate::run::{Advanced, Ending, WorkItem};

/// What is worked on, and what waits.
pub(crate) struct InFlight {
    pub(crate) threads: Vec<WorkerThread>,
    /// How many threads work on an item, or are about to.
    pub(crate) busy: usize,
    /// How many wait for something to do.
    pub(crate) idle: usize,
    /// How many were left behind in this run.
    pub(crate) abandoned: usize,
    /// Items that have begun, for threads to work on.
    pub(crate) ready: VecDeque<WorkItem>,
    /// How many more than one for each of the threads are about to begin.
    pub(crate) taking: usize,
    /// A thread is about to get items.
    pub(crate) is_taking: bool,
    /// Ends that are not stored yet.
    pub(crate) ends: Vec<Ending>,
    /// How often ends were taken to be stored.
    pub(crate) stores: u64,
    /// The supervisor knows of the ends.
    pub(crate) is_watched: bool,
    /// A thread goes from one trivial item to the next, and has woken no other for what is
    /// there to be done. The supervisor sees to it that it comes back.
    pub(crate) is_streaming: bool,
    /// A thread that was idle is about to run.
    pub(crate) is_waking: bool,
    /// By when they are due; as many as the dispatcher lets wait.
    pub(crate) waiting: BTreeMap<(Duration, u64), Waiting>,
    pub(crate) waited: u64,
    /// There are no more items to take.
    pub(crate) is_all_taken: bool,
    /// An item did not get all its attempts, or all its time, because the runner is to
    /// stop.
    pub(crate) is_cut_short: bool,
    /// When the last new item began, by the monotonic clock.
    pub(crate) last_taken: Option<Duration>,
    /// Threads take nothing any more, and end.
    pub(crate) is_closed: bool,
    /// Why, if a thread found a reason.
    pub(crate) end: Option<End>,
    /// Items that a thread got when it was too late.
    pub(crate) stranded: Vec<WorkItem>,
    pub(crate) flow: FlowControl,
    /// Of which settings `flow` was made.
    pub(crate) flow_version: Option<u64>,
}

/// A thread for workers.
#[derive(Default)]
pub(crate) struct WorkerThread {
    /// `None` once it was left behind.
    pub(crate) handle: Option<JoinHandle<()>>,
    pub(crate) attempt: Option<Arc<Attempt>>,
    /// When its worker was told to stop.
    pub(crate) told: Option<Duration>,
}

/// An item that has failed and gets another attempt.
pub(crate) struct Waiting {
    pub(crate) item: WorkItem,
}

impl InFlight {
    pub(crate) fn new(flow: FlowControl) -> Self {
        Self {
            threads: Vec::new(),
            busy: 0,
            idle: 0,
            abandoned: 0,
            ready: VecDeque::new(),
            taking: 0,
            is_taking: false,
            ends: Vec::new(),
            stores: 0,
            is_watched: false,
            is_streaming: false,
            is_waking: false,
            waiting: BTreeMap::new(),
            waited: 0,
            is_all_taken: false,
            is_cut_short: false,
            last_taken: None,
            is_closed: false,
            end: None,
            stranded: Vec::new(),
            flow,
            flow_version: None,
        }
    }

    pub(crate) fn attempts(&self) -> impl Iterator<Item = &Arc<Attempt>> {
        self.threads.iter().filter_map(|thread| thread.attempt.as_ref())
    }

    pub(crate) fn close(&mut self) {
        self.is_closed = true;
    }

    pub(crate) fn flow(&self) -> &FlowControl {
        &self.flow
    }

    pub(crate) fn has_free_thread(&self) -> bool {
        self.busy + self.abandoned < self.flow.concurrency
    }

    pub(crate) fn until_next_item(&self, now: Duration) -> Duration {
        let next = self.last_taken.map(|last| last.saturating_add(self.flow.spacing()));
        next.map_or(Duration::ZERO, |next| next.saturating_sub(now))
    }

    pub(crate) fn note_advance(&mut self, advanced: Advanced, asked_for: usize, asked: Duration) {
        self.is_all_taken |= advanced.items.len() < asked_for && !advanced.has_new_settings;
        if advanced.items.is_empty() && self.last_taken == Some(asked) {
            self.last_taken = None;
        }
        self.ready.extend(advanced.items);
    }

    /// The ends that are not stored yet; whoever takes them stores them.
    pub(crate) fn take_ends(&mut self) -> Vec<Ending> {
        self.stores += 1;
        std::mem::take(&mut self.ends)
    }

    /// How many more items may be in hand.
    pub(crate) fn places(&self) -> usize {
        let taken = self.busy + self.abandoned + self.ready.len() + self.taking;
        self.flow.concurrency.saturating_sub(taken)
    }

    /// Whether there is something left to do, or to store, of what has begun.
    pub(crate) fn has_more(&self) -> bool {
        let is_about_to_go_on = !self.ready.is_empty() && self.has_free_thread();
        is_about_to_go_on || !self.waiting.is_empty() || !self.ends.is_empty()
    }

    /// Items that have begun and that nobody works on yet are left to the next run.
    pub(crate) fn strand_ready(&mut self) {
        self.is_cut_short |= !self.ready.is_empty();
        self.stranded.extend(self.ready.drain(..));
    }

    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.waiting.keys().next().map(|(due, _)| *due)
    }

    pub(crate) fn take_due(&mut self, now: Duration) -> Option<Waiting> {
        let entry = self.waiting.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }

    pub(crate) fn wait_until(&mut self, due: Duration, waiting: Waiting) {
        self.waited += 1;
        self.waiting.insert((due, self.waited), waiting);
    }

    pub(crate) fn hold(&mut self, thread: usize, attempt: Arc<Attempt>) {
        if let Some(thread) = self.threads.get_mut(thread) {
            thread.attempt = Some(attempt);
        }
    }

    pub(crate) fn release(&mut self, thread: usize) {
        if let Some(thread) = self.threads.get_mut(thread) {
            thread.attempt = None;
            thread.told = None;
        }
    }
}

impl Waiting {
    pub(crate) fn into_end(self) -> Ending {
        self.item.into_end()
    }
}
