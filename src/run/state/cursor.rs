//! The order of a run: active items by name, then cleanup items by name. After an aborted run,
//! active items that it did not reach come first.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::error::Result;
use crate::model::List;
use crate::record::Record;
use crate::store::ProcessHandle;

/// The number of items read ahead, so that a run's memory does not grow with the items of its
/// process.
const ITEMS_AHEAD: usize = 256;

/// The bytes of records read ahead; of the other items, only the names are.
const BYTES_AHEAD: usize = 1 << 18;

/// One pass over a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Active items that no run has begun since the first of the aborted ones.
    Missed,
    /// The other active items.
    Active,
    Cleanup,
}

impl Pass {
    pub(crate) fn list(self) -> List {
        match self {
            Self::Missed | Self::Active => List::Active,
            Self::Cleanup => List::Cleanup,
        }
    }

    fn next(self) -> Option<Self> {
        match self {
            Self::Missed => Some(Self::Active),
            Self::Active => Some(Self::Cleanup),
            Self::Cleanup => None,
        }
    }
}

/// An item of a list, read ahead of its use.
#[derive(Debug, Clone)]
pub(crate) struct NextItem {
    pub(crate) name: Arc<str>,
    /// Its record, and the commit as of which it was read.
    read: Option<(Record, u64)>,
}

impl NextItem {
    /// Creates an item whose record is still to be read.
    pub(crate) fn unread(name: Arc<str>) -> Self {
        Self { name, read: None }
    }

    /// Returns its newest record with the commit as of which that is known; `None` if it has left the
    /// list.
    pub(crate) fn record(self, handle: &ProcessHandle, list: List) -> Result<Option<(Record, u64)>> {
        let engine = &handle.store.inner.engine;
        let as_of = engine.as_of();
        let newest = match self.read {
            Some((record, read_as_of)) => engine.get_since(record, read_as_of)?,
            None => engine.get(&handle.item_key(list, &self.name))?,
        };
        Ok(newest.map(|record| (record, as_of)))
    }
}

/// The position of a run in the lists.
#[derive(Debug, Default)]
pub(crate) struct Cursor {
    /// `None` at the end.
    pass: Option<Pass>,
    after: Option<Arc<str>>,
    ahead: VecDeque<NextItem>,
}

impl Cursor {
    pub(crate) fn new(begins_with: Pass) -> Self {
        Self { pass: Some(begins_with), after: None, ahead: VecDeque::new() }
    }

    /// Makes `name`, which was the next of `pass`, the next one again.
    pub(crate) fn put_back(&mut self, pass: Pass, name: Arc<str>) {
        if self.pass != Some(pass) {
            self.pass = Some(pass);
            self.ahead.clear();
        }
        // After an empty list nothing was read ahead.
        if self.ahead.is_empty() {
            self.after = Some(name.clone());
        }
        self.ahead.push_front(NextItem::unread(name));
    }

    /// The next item, which may have left its list since it was read.
    pub(crate) fn next(&mut self, handle: &ProcessHandle) -> Result<Option<(Pass, NextItem)>> {
        while let Some(pass) = self.pass {
            if let Some(item) = self.ahead.pop_front() {
                self.after = Some(item.name.clone());
                return Ok(Some((pass, item)));
            }
            self.ahead = read_ahead(handle, pass.list(), self.after.as_deref())?;
            if self.ahead.is_empty() {
                self.pass = pass.next();
                self.after = None;
            }
        }
        Ok(None)
    }
}

fn read_ahead(handle: &ProcessHandle, list: List, after: Option<&str>) -> Result<VecDeque<NextItem>> {
    let as_of = handle.store.inner.engine.as_of();
    let mut bytes = 0;
    handle.first_items(list, after, ITEMS_AHEAD, |name, record| {
        bytes += record.payload.len();
        let is_kept = as_of > 0 && bytes <= BYTES_AHEAD;
        NextItem { name: name.into(), read: is_kept.then(|| (record.to_record(), as_of)) }
    })
}
