//! The order of a run: active items by name, then cleanup items by name. After an aborted run,
//! active items that it did not reach come first.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::error::Result;
use crate::model::List;
use crate::store::ProcessHandle;

/// The number of names read ahead, so that a run's memory does not grow with the items of its
/// process.
const NAMES_AHEAD: usize = 256;

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

/// The position of a run in the lists.
#[derive(Debug, Default)]
pub(crate) struct Cursor {
    /// `None` at the end.
    pass: Option<Pass>,
    after: Option<Arc<str>>,
    ahead: VecDeque<Arc<str>>,
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
        self.ahead.push_front(name);
    }

    /// The next name, which may have left its list since it was read.
    pub(crate) fn next(&mut self, handle: &ProcessHandle) -> Result<Option<(Pass, Arc<str>)>> {
        while let Some(pass) = self.pass {
            if let Some(name) = self.ahead.pop_front() {
                self.after = Some(name.clone());
                return Ok(Some((pass, name)));
            }
            self.ahead = handle.names(pass.list(), self.after.as_deref(), NAMES_AHEAD)?;
            if self.ahead.is_empty() {
                self.pass = pass.next();
                self.after = None;
            }
        }
        Ok(None)
    }
}
