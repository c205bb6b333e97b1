//! The requests of threads that wait for whoever holds the lock of the run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::error::Result;
use crate::model::List;
use crate::proto::State as RunState;
use crate::run::state::item_in_flight::ItemId;

/// What one thread asks for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Advance {
    /// The items that end, and in what; else by what errors they had.
    pub(crate) ends: Vec<(ItemId, Option<RunState>)>,
    /// How many items are to begin at most.
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

/// What a thread gets.
#[derive(Debug, Default)]
pub(crate) struct Granted {
    /// Fewer than it asked for: all are taken, or the run takes no more.
    pub(crate) items: Vec<StartedItem>,
    /// The settings have changed with the ends: the thread is to decide anew whether it
    /// asks for items. None was taken.
    pub(crate) has_new_settings: bool,
}

pub(super) type Answer = Result<Granted>;

/// The requests that wait for the thread that holds the lock.
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
