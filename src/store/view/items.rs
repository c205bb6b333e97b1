//! The items of a list one after the other, each decoded no further than it is asked for.

use std::ops::ControlFlow;

use jiff::Timestamp;

use super::page::{self, Item, work_name};
use crate::error::Result;
use crate::model::{List, response, time};
use crate::proto::State;
use crate::proto::record::{ItemHead, StatusHead};
use crate::record::{KeyRange, Record, RecordBuffer};
use crate::store::process::ProcessHandle;

/// How many records are read at once, first and later: who wants few does not pay for many.
const PAGE_RECORDS_MIN: usize = 128;
const PAGE_RECORDS_MAX: usize = 4096;

/// The same in bytes; one record may exceed it.
const PAGE_BYTES_MAX: usize = 1 << 20;

impl ProcessHandle {
    /// The items of `list`, one after the other in name order, for whoever looks at many: of
    /// each only a few fields are decoded, and the rest when it is asked for
    /// ([`StoredItem::to_item`]). That takes a third of the time of
    /// [`list`](ProcessHandle::list), and no memory but for a page.
    ///
    /// Reads page by page as it goes, 128 items and then up to 4,096 at once: each page shows one
    /// point in time, the next one a later. Between two of them an item may go to another list.
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
    /// The iterator answers them, and ends: [`is_not_found`](crate::Error::is_not_found) if the
    /// process is not in the store; [`is_corrupt`](crate::Error::is_corrupt) if a record is
    /// damaged.
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

/// The items of a list; see [`ProcessHandle::items`].
#[derive(Debug, Clone)]
#[must_use = "nothing is read before it is asked for its first item"]
pub struct Items {
    process: ProcessHandle,
    list: List,
    /// Where what was not read yet stands.
    rest: KeyRange,
    page: RecordBuffer,
    /// How many records were asked for last; 0 before the first page.
    page_records: usize,
    /// Nothing comes after this page.
    is_over: bool,
}

impl Items {
    /// Only those whose names begin with `prefix`. Costs nothing for the others.
    pub fn with_prefix(mut self, prefix: &str) -> Self {
        let range = self.process.list_range(self.list, prefix, None);
        self.rest = self.rest.within(range);
        self
    }

    /// Only those after the name `name`, whether or not there is an item of that name.
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
        if self.page.len() == 0 && !self.is_over {
            if let Err(error) = self.read_page() {
                self.end();
                return Some(Err(error));
            }
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

/// A work item as it is stored, with its checksum compared and little of it decoded.
///
/// It shares memory with the others of the page that it came with: of what is kept for long,
/// keep [`to_item`](StoredItem::to_item).
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
///     // What takes time.
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

/// What is decoded of it.
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

    /// The name of the work.
    #[must_use]
    pub fn name(&self) -> &str {
        work_name(self.record.key.borrow())
    }

    /// The list it is on.
    #[must_use]
    pub fn list(&self) -> List {
        self.list
    }

    /// The version of its record, as in [`Item::version`].
    #[must_use]
    pub fn version(&self) -> u64 {
        self.record.version
    }

    /// The state of active work; `None` on the other lists.
    #[must_use]
    pub fn state(&self) -> Option<State> {
        let state = || self.status().map_or(State::Unspecified, StatusHead::state);
        (self.list == List::Active).then(state)
    }

    /// The state as a [`WorkResponse`](crate::WorkResponse) says it.
    #[must_use]
    pub fn state_name(&self) -> &'static str {
        match self.list {
            List::Active => response::active_state(self.state().unwrap_or_default()),
            List::Cleanup => response::CLEANUP,
            List::Dropped => response::DROPPED,
        }
    }

    /// When the cleanup was asked for, or the item dropped.
    #[must_use]
    pub fn since(&self) -> Option<Timestamp> {
        match self.head {
            Head::Active(_) => None,
            Head::Left(since) => since,
        }
    }

    /// When a run last told of it.
    #[must_use]
    pub fn progress_time(&self) -> Option<Timestamp> {
        time::read(&self.status()?.progress_time)
    }

    /// Whether it had an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.status().is_some_and(|status| status.total_errors > 0 || !status.errors.is_empty())
    }

    /// How many errors it had.
    #[must_use]
    pub fn total_errors(&self) -> i64 {
        self.status().map_or(0, |status| status.total_errors)
    }

    /// How many attempts at it have failed, as in [`Item::failed_attempts`].
    #[must_use]
    pub fn failed_attempts(&self) -> u32 {
        match &self.head {
            Head::Active(head) => head.failed_attempts,
            Head::Left(_) => 0,
        }
    }

    /// All of it, decoded: what [`ProcessHandle::list`] answers.
    ///
    /// # Errors
    ///
    /// [`is_corrupt`](crate::Error::is_corrupt) if it does not decode.
    pub fn to_item(&self) -> Result<Item> {
        page::item(self.record.borrow(), self.list)
    }
}
