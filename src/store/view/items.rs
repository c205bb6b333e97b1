//! Iteration over the items of a list, decoding only what the caller requests.

use std::ops::ControlFlow;

use jiff::Timestamp;

use super::page::{self, Item, work_name};
use crate::error::Result;
use crate::model::{List, response, time};
use crate::proto::State;
use crate::proto::record::{ItemHead, StatusHead};
use crate::record::{KeyRange, Record, RecordBuffer};
use crate::store::process::ProcessHandle;

/// The number of records of the first page, and the most of a later one: a caller that stops early
/// does not pay for many.
const PAGE_RECORDS_MIN: usize = 128;
const PAGE_RECORDS_MAX: usize = 4096;

/// The size at which a page ends, in bytes.
const PAGE_BYTES_MAX: usize = 1 << 20;

impl ProcessHandle {
    /// Iterates over the items of `list` in name order, for callers that look at many items.
    ///
    /// Decodes only a few fields of each item; [`StoredItem::to_item`] decodes the rest. That
    /// takes less than half the time of [`list`](ProcessHandle::list), and the memory of one page.
    ///
    /// Reads the store page by page: 128 items, then up to 4,096 at once. Each page shows one point
    /// in time; the next page shows a later one, and an item may have moved to another list
    /// meanwhile.
    ///
    /// ```
    /// use procstate::{List, Params, Store};
    ///
    /// let store = Store::in_memory();
    /// let keys = store.process("gckeys")?;
    /// keys.register_all(["a/1", "a/2", "b/1"].map(|name| (name, Params::new())))?;
    /// let names = |items: procstate::Items| {
    ///     items.map(|item| Ok(item?.name().to_owned())).collect::<procstate::Result<Vec<_>>>()
    /// };
    /// assert_eq!(names(keys.items(List::Active))?, ["a/1", "a/2", "b/1"]);
    /// assert_eq!(names(keys.items(List::Active).with_prefix("a/").after("a/1"))?, ["a/2"]);
    /// # Ok::<(), procstate::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The iterator yields an error and ends: [`is_not_found`](crate::Error::is_not_found) if the
    /// process does not exist; [`is_corrupt`](crate::Error::is_corrupt) if a record is damaged.
    pub fn items(&self, list: List) -> Items {
        Items {
            rest: self.list_range(list, "", None),
            process: self.clone(),
            list,
            page: RecordBuffer::default(),
            page_records: 0,
            is_over: false,
        }
    }
}

/// An iterator over the items of a list; see [`ProcessHandle::items`]. It is restricted before it
/// yields its first item.
#[derive(Debug, Clone)]
#[must_use = "iterators are lazy"]
pub struct Items {
    process: ProcessHandle,
    list: List,
    /// The range that was not read yet.
    rest: KeyRange,
    page: RecordBuffer,
    /// The size of the last page in records; 0 before the first one.
    page_records: usize,
    /// There is no further page.
    is_over: bool,
}

impl Items {
    /// Restricts the iterator to the names that begin with `prefix`. Other items cost nothing.
    pub fn with_prefix(mut self, prefix: &str) -> Self {
        let range = self.process.list_range(self.list, prefix, None);
        self.rest = self.rest.within(range);
        self
    }

    /// Restricts the iterator to the names after `name`, which need not exist.
    pub fn after(mut self, name: &str) -> Self {
        self.rest = self.rest.after(&self.process.item_key(self.list, name));
        self
    }

    fn read_page(&mut self) -> Result<()> {
        if self.page_records == 0 {
            self.process.must_exist()?;
        }
        let records = (self.page_records * 4).clamp(PAGE_RECORDS_MIN, PAGE_RECORDS_MAX);
        let page = &mut self.page;
        let mut last = None;
        self.process.store.scan_first(&self.rest, records, |record| {
            page.push(record);
            if page.len() < records && page.bytes() < PAGE_BYTES_MAX {
                return Ok(ControlFlow::Continue(()));
            }
            last = Some(record.key.to_key());
            Ok(ControlFlow::Break(()))
        })?;
        self.page_records = records;
        match last {
            Some(last) => self.rest.start = self.rest.clone().after(&last).start,
            None => self.is_over = true,
        }
        Ok(())
    }
}

impl Iterator for Items {
    type Item = Result<StoredItem>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.len() == 0
            && !self.is_over
            && let Err(error) = self.read_page()
        {
            self.end();
            return Some(Err(error));
        }
        let item = StoredItem::of(self.page.pop()?, self.list);
        if item.is_err() {
            self.end();
        }
        Some(item)
    }
}

impl std::iter::FusedIterator for Items {}

impl Items {
    fn end(&mut self) {
        self.page = RecordBuffer::default();
        self.is_over = true;
    }
}

/// A work item in its stored form: verified by its checksum, and mostly not decoded.
///
/// It keeps the page in memory with which it was read. To keep an item for long, keep its
/// [`to_item`](StoredItem::to_item).
///
/// ```
/// use procstate::proto::State;
/// use procstate::{List, Params, Store};
///
/// # let store = Store::in_memory();
/// let keys = store.process("gckeys")?;
/// keys.register("project-1", Params::new().int("keysPerAccount", 8))?;
/// for item in keys.items(List::Active) {
///     let item = item?;
///     assert_eq!((item.name(), item.list(), item.version()), ("project-1", List::Active, 1));
///     assert_eq!((item.state(), item.state_name()), (Some(State::New), "queued"));
///     assert_eq!((item.has_errors(), item.total_errors(), item.failed_attempts()), (false, 0, 0));
///     assert_eq!((item.progress_time(), item.since()), (None, None));
///     // Decodes the rest.
///     let params = item.to_item()?.work.unwrap().params.unwrap();
///     assert_eq!(params.get_int("keysPerAccount"), Some(8));
/// }
/// # Ok::<(), procstate::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct StoredItem {
    record: Record,
    list: List,
    head: Head,
}

/// The decoded part.
#[derive(Debug, Clone)]
enum Head {
    Active(ItemHead),
    Left(Option<Timestamp>),
}

impl StoredItem {
    fn of(record: Record, list: List) -> Result<Self> {
        let head = match list {
            List::Active => Head::Active(ItemHead::from_ref(record.borrow())?),
            List::Cleanup | List::Dropped => Head::Left(page::since(record.borrow())?),
        };
        Ok(Self { record, list, head })
    }

    fn status(&self) -> Option<&StatusHead> {
        match &self.head {
            Head::Active(head) => head.work.as_ref()?.status.as_ref(),
            Head::Left(_) => None,
        }
    }

    /// Returns the name of the work.
    #[must_use]
    pub fn name(&self) -> &str {
        work_name(self.record.key.borrow())
    }

    /// Returns the list that it is on.
    #[must_use]
    pub fn list(&self) -> List {
        self.list
    }

    /// Returns the version of its record; see [`Item::version`].
    #[must_use]
    pub fn version(&self) -> u64 {
        self.record.version
    }

    /// Returns the state of active work; `None` on the other lists.
    #[must_use]
    pub fn state(&self) -> Option<State> {
        let state = || self.status().map_or(State::Unspecified, StatusHead::state);
        (self.list == List::Active).then(state)
    }

    /// Returns the state as in a [`WorkResponse`](crate::WorkResponse).
    #[must_use]
    pub fn state_name(&self) -> &'static str {
        match self.list {
            List::Active => response::active_state(self.state().unwrap_or_default()),
            List::Cleanup => response::CLEANUP,
            List::Dropped => response::DROPPED,
        }
    }

    /// Returns when the cleanup was requested, or the item dropped; `None` for active work.
    #[must_use]
    pub fn since(&self) -> Option<Timestamp> {
        match self.head {
            Head::Active(_) => None,
            Head::Left(since) => since,
        }
    }

    /// Returns the time of its latest progress.
    #[must_use]
    pub fn progress_time(&self) -> Option<Timestamp> {
        time::read(&self.status()?.progress_time)
    }

    /// Reports whether it has errors.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.status().is_some_and(|status| status.total_errors > 0 || !status.errors.is_empty())
    }

    /// Returns the number of its errors.
    #[must_use]
    pub fn total_errors(&self) -> i64 {
        self.status().map_or(0, |status| status.total_errors)
    }

    /// Returns the number of failed attempts; see [`Item::failed_attempts`].
    #[must_use]
    pub fn failed_attempts(&self) -> u32 {
        match &self.head {
            Head::Active(head) => head.failed_attempts,
            Head::Left(_) => 0,
        }
    }

    /// Decodes the whole item, as [`ProcessHandle::list`] does.
    ///
    /// # Errors
    ///
    /// [`is_corrupt`](crate::Error::is_corrupt) if it does not decode.
    pub fn to_item(&self) -> Result<Item> {
        page::item(self.record.borrow(), self.list)
    }
}
