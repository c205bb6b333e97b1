//! The items in flight of a run: which threads work on what, what waits, and what must still be
//! stored.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::attempt::Attempt;
use super::end::End;
use super::flow_control::FlowControl;
use crate::run::{Advanced, Ending, WorkItem};

/// The items in progress and waiting.
pub(crate) struct InFlight {
    pub(crate) threads: Vec<WorkerThread>,
    /// The number of threads that work on an item or are about to.
    pub(crate) busy: usize,
    /// The number of threads waiting for work.
    pub(crate) idle: usize,
    /// The number of threads abandoned in this run.
    pub(crate) abandoned: usize,
    /// Begun items without a thread.
    pub(crate) ready: VecDeque<WorkItem>,
    /// How many items, besides one per thread, are about to begin.
    pub(crate) taking: usize,
    /// Whether a thread is about to take items.
    pub(crate) is_taking: bool,
    /// Ends not stored yet.
    pub(crate) ends: Vec<Ending>,
    /// How often ends were taken to be stored.
    pub(crate) stores: u64,
    /// Whether the supervisor knows about the ends.
    pub(crate) is_watched: bool,
    /// Whether a thread goes from one trivial item to the next without waking another one for what
    /// else there is to do. The supervisor checks that it keeps coming back.
    pub(crate) is_streaming: bool,
    /// Whether an idle thread is waking up.
    pub(crate) is_waking: bool,
    /// Failed items waiting for a retry, by due time; bounded by the dispatcher.
    pub(crate) waiting: BTreeMap<(Duration, u64), Waiting>,
    pub(crate) waited: u64,
    /// Whether there are no more items to take.
    pub(crate) is_all_taken: bool,
    /// Whether an item was deprived of attempts or time because the runner is stopping.
    pub(crate) is_cut_short: bool,
    /// When the last new item began, on the monotonic clock.
    pub(crate) last_taken: Option<Duration>,
    /// Whether threads take no more items, and end.
    pub(crate) is_closed: bool,
    /// Why, if a thread found a reason.
    pub(crate) end: Option<End>,
    /// Items that a thread got too late.
    pub(crate) stranded: Vec<WorkItem>,
    pub(crate) flow: FlowControl,
    /// The version of the settings for `flow`.
    pub(crate) flow_version: Option<u64>,
}

/// A thread of workers.
#[derive(Default)]
pub(crate) struct WorkerThread {
    /// `None` once it was abandoned.
    pub(crate) handle: Option<JoinHandle<()>>,
    pub(crate) attempt: Option<Arc<Attempt>>,
    /// When its worker was told to stop.
    pub(crate) told_to_stop: Option<Duration>,
}

/// A failed item waiting for a retry.
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

    /// Takes the pending ends, which the caller must store.
    pub(crate) fn take_ends(&mut self) -> Vec<Ending> {
        self.stores += 1;
        std::mem::take(&mut self.ends)
    }

    /// Returns how many more items may be in progress.
    pub(crate) fn places(&self) -> usize {
        let taken = self.busy + self.abandoned + self.ready.len() + self.taking;
        self.flow.concurrency.saturating_sub(taken)
    }

    /// Reports whether begun items have work or ends left.
    pub(crate) fn has_more(&self) -> bool {
        let is_about_to_go_on = !self.ready.is_empty() && self.has_free_thread();
        is_about_to_go_on || !self.waiting.is_empty() || !self.ends.is_empty()
    }

    /// Leaves begun items without a thread to the next run.
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
            thread.told_to_stop = None;
        }
    }
}

impl Waiting {
    pub(crate) fn into_end(self) -> Ending {
        self.item.into_end()
    }
}
