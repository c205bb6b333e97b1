//! The order of a run: active items by name, then cleanup items by name.

use std::collections::VecDeque;

use crate::error::Result;
use crate::model::List;
use crate::store::ProcessHandle;

/// How many names are read ahead. What a run holds in memory does not grow with
/// the items of its process.
const NAMES_AHEAD: usize = 256;

/// How far a run has come through the lists.
#[derive(Debug)]
pub(super) struct Cursor {
    /// The list it is in; `None` at the end.
    list: Option<List>,
    after: Option<String>,
    ahead: VecDeque<String>,
}

impl Cursor {
    pub(super) fn new() -> Self {
        Self { list: Some(List::Active), after: None, ahead: VecDeque::new() }
    }

    /// The next name, which may have left its list since it was read.
    pub(super) fn next(&mut self, handle: &ProcessHandle) -> Result<Option<(List, String)>> {
        while let Some(list) = self.list {
            if let Some(name) = self.ahead.pop_front() {
                self.after = Some(name.clone());
                return Ok(Some((list, name)));
            }
            self.ahead = handle.names(list, self.after.as_deref(), NAMES_AHEAD)?;
            if self.ahead.is_empty() {
                self.list = (list == List::Active).then_some(List::Cleanup);
                self.after = None;
            }
        }
        Ok(None)
    }
}
