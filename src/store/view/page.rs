//! Lists processes and work items page by page.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use jiff::Timestamp;

use crate::error::{Error, Result};
use crate::model::response::{self, Found};
use crate::model::{List, time};
use crate::proto::{Work, WorkResponse, record};
use crate::record::{Key, KeyRange, KeyRef, Payload, RecordRef, Slot};
use crate::store::Store;
use crate::store::process::ProcessHandle;

/// A page of a list, in name order.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Page {
    /// The items.
    pub items: Vec<Item>,
    /// The `after` of the next page; `None` at the end of the list.
    pub next: Option<String>,
}

/// A page of process names, in name order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Names {
    /// The names.
    pub names: Vec<String>,
    /// The `after` of the next page; `None` at the end.
    pub next: Option<String>,
}

/// A work item with the list that it is on.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Item {
    /// The name of the work.
    pub name: String,
    /// The list it is on.
    pub list: List,
    /// The item, while it is active work.
    pub work: Option<Work>,
    /// When the cleanup was requested, or the item dropped.
    pub since: Option<Timestamp>,
    /// The version of its record, for a [`Precondition`](crate::Precondition): the sequence number
    /// of the last commit that wrote it.
    pub version: u64,
    /// The number of failed attempts in the current run while a retry is possible; 0 once the item
    /// has ended.
    pub failed_attempts: u32,
}

impl Item {
    /// Returns the response of [`ProcessHandle::work`] for this item of `process`.
    ///
    /// ```
    /// # use procstate::{List, Params, Store};
    /// # let store = Store::in_memory();
    /// # let keys = store.process("gckeys")?;
    /// keys.register("project-1", Params::new())?;
    /// let page = keys.list(List::Active, None, 10)?;
    /// assert_eq!(page.items[0].response("gckeys"), keys.work("project-1")?);
    /// # Ok::<(), procstate::Error>(())
    /// ```
    #[must_use]
    pub fn response(&self, process: &str) -> WorkResponse {
        let found = match self.list {
            List::Active => Found::Active(self.work.clone().unwrap_or_default().into()),
            List::Cleanup => Found::Cleanup,
            List::Dropped => Found::Dropped,
        };
        response::work_response(process, &self.name, found)
    }
}

impl Store {
    /// Returns up to `limit` (at least 1) names of processes that begin with `prefix`, sorted by
    /// their bytes, starting after the name `after`.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](crate::Error::is_invalid) for a limit of 0; if the store cannot be
    /// read.
    pub fn processes_page(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Names> {
        if limit == 0 {
            return Err(Error::argument("a page cannot have 0 processes; request at least 1"));
        }
        let mut names: Vec<String> = Vec::new();
        let mut range = KeyRange::from_process(prefix);
        if let Some(after) = after {
            range.start = KeyRange::after_process(after).start.max(range.start);
        }
        while let Some(name) = self.first_process(&range)?.filter(|name| name.starts_with(prefix)) {
            if names.len() == limit {
                return Ok(Names { next: names.last().cloned(), names });
            }
            range = KeyRange::after_process(&name);
            if self.inner.engine.get(&Key::owner(&name))?.is_some() {
                names.push(name);
            }
        }
        Ok(Names { names, next: None })
    }
}

impl ProcessHandle {
    /// Returns up to `limit` (at least 1) items of `list` in name order, starting after the name
    /// `after`.
    ///
    /// Each page shows one point in time; the next page may show a later one.
    ///
    /// ```
    /// # use procstate::{List, Params, Store};
    /// # let store = Store::in_memory();
    /// # let keys = store.process("gckeys")?;
    /// keys.register_all((0..5).map(|n| (format!("project-{n}"), Params::new())))?;
    /// let first = keys.list(List::Active, None, 3)?;
    /// let rest = keys.list(List::Active, first.next.as_deref(), 3)?;
    /// assert_eq!(rest.items[0].name, "project-3");
    /// assert_eq!((rest.items.len(), rest.next), (2, None));
    /// # Ok::<(), procstate::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`is_not_found`](crate::Error::is_not_found) if the process does not exist;
    /// [`is_invalid`](crate::Error::is_invalid) for a limit of 0.
    pub fn list(&self, list: List, after: Option<&str>, limit: usize) -> Result<Page> {
        self.list_prefix(list, "", after, limit)
    }

    /// Returns a page of the items whose names begin with `prefix`; see
    /// [`list`](ProcessHandle::list).
    ///
    /// Other items cost nothing.
    ///
    /// # Errors
    ///
    /// As [`list`](ProcessHandle::list).
    ///
    /// ```
    /// use procstate::{List, Params, Store};
    ///
    /// let photos = Store::in_memory().process("thumbs")?;
    /// photos.register_all(["a/1", "a/2", "b/1"].map(|name| (name, Params::new())))?;
    /// let page = photos.list_prefix(List::Active, "a/", None, 100)?;
    /// assert_eq!(page.items.len(), 2);
    /// # Ok::<(), procstate::Error>(())
    /// ```
    pub fn list_prefix(&self, list: List, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page> {
        if limit == 0 {
            return Err(Error::argument("a page cannot have 0 items; request at least 1"));
        }
        self.must_exist()?;
        let mut items = Vec::new();
        let mut more = false;
        self.store.scan_first(&self.list_range(list, prefix, after), limit.saturating_add(1), |record| {
            more = items.len() == limit;
            if more {
                return Ok(ControlFlow::Break(()));
            }
            items.push(item(record, list)?);
            Ok(ControlFlow::Continue(()))
        })?;
        let next = items.last().filter(|_| more).map(|item: &Item| item.name.clone());
        Ok(Page { items, next })
    }

    /// Reads the first `limit` items of `list` after the name `after`, by name and record.
    pub(crate) fn first_items<T>(
        &self,
        list: List,
        after: Option<&str>,
        limit: usize,
        mut read: impl FnMut(&str, RecordRef<'_>) -> T,
    ) -> Result<VecDeque<T>> {
        let mut items = VecDeque::new();
        self.store.inner.engine.scan_first(&self.list_range(list, "", after), limit, &mut |record| {
            items.push_back(read(work_name(record.key), record));
            ControlFlow::Continue(())
        })?;
        Ok(items)
    }

    /// Returns the range of the names in `list` that begin with `prefix` and follow `after`.
    pub(super) fn list_range(&self, list: List, prefix: &str, after: Option<&str>) -> KeyRange {
        let range = KeyRange::names(self.name(), list.into(), prefix);
        match after {
            Some(after) => range.after(&self.item_key(list, after)),
            None => range,
        }
    }
}

/// Decodes a record of `list`.
pub(super) fn item(record: RecordRef<'_>, list: List) -> Result<Item> {
    let (name, version) = (work_name(record.key).to_owned(), record.version);
    Ok(match list {
        List::Active => {
            let record::Item { work, failed_attempts, .. } = Payload::from_ref(record)?;
            Item { name, list, work: Some(work.unwrap_or_default()), since: None, version, failed_attempts }
        }
        List::Cleanup | List::Dropped => {
            Item { name, list, work: None, since: since(record)?, version, failed_attempts: 0 }
        }
    })
}

/// Returns when the item was put on the cleanup or the dropped list.
pub(super) fn since(record: RecordRef<'_>) -> Result<Option<Timestamp>> {
    prost_types::Timestamp::from_ref(record).map(|since| time::from_wire(&since))
}

/// Returns the work name in the key of a list's record.
pub(super) fn work_name(key: KeyRef<'_>) -> &str {
    match key.slot() {
        Some(Slot::Item(_, name)) => name,
        // The range of a list contains no other keys.
        _ => "",
    }
}
