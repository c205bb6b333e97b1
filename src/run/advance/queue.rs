//! The requests of threads that wait for the holder of the run's lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::error::Result;
use crate::model::List;
use crate::proto::State as RunState;
use crate::run::state::item_in_flight::ItemId;

/// A thread's request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Advance {
    /// The items that end, each with its state; `None` decides by its errors.
    pub(crate) ends: Vec<(ItemId, Option<RunState>)>,
    /// The maximum number of items to begin.
    pub(crate) takes: usize,
}

/// An item that has begun.
#[derive(Debug)]
pub(crate) struct StartedItem {
    pub(crate) id: ItemId,
    pub(crate) name: Arc<str>,
    pub(crate) list: List,
    pub(crate) failed_attempts: u32,
}

/// The answer to a thread.
#[derive(Debug, Default)]
pub(crate) struct Granted {
    /// Fewer items than requested mean that all are taken, or the run takes no more.
    pub(crate) items: Vec<StartedItem>,
    /// Whether the settings changed with the ends, so that the thread must decide again whether to
    /// request items; none was taken.
    pub(crate) has_new_settings: bool,
}

pub(super) type Answer = Result<Granted>;

/// The queue of requests.
#[derive(Debug, Default)]
pub(crate) struct AdvanceQueue {
    pub(super) waiting: Mutex<Vec<Arc<Waiter>>>,
}

#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) request: Advance,
    pub(super) answer: Mutex<Option<Answer>>,
    is_answered: AtomicBool,
}

impl Waiter {
    pub(super) fn new(request: Advance) -> Self {
        Self { request, answer: Mutex::default(), is_answered: AtomicBool::new(false) }
    }

    pub(super) fn answer(&self, answer: Answer) {
        *self.answer.lock() = Some(answer);
        self.is_answered.store(true, Ordering::Release);
    }

    pub(super) fn is_answered(&self) -> bool {
        self.is_answered.load(Ordering::Acquire)
    }
}
