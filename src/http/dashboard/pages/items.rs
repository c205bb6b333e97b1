//! The items of a process by pages.

use serde::Deserialize;

use crate::http::api::work::{self, ListName};
use crate::http::dashboard::links::{Link, with_query};
use crate::http::dashboard::show::{self, ShownTime};
use crate::http::exchange::address::Prefix;
use crate::http::exchange::problem::Answer;
use crate::{Item, ProcessHandle, Timestamp};

/// The number of items per page.
const PAGE: usize = 100;

/// Selects items.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Filter {
    #[serde(default)]
    list: ListName,
    #[serde(default)]
    state: String,
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    errors: String,
    after: Option<String>,
}

/// A page of items.
pub(crate) struct Items {
    pub(crate) rows: Vec<Row>,
    pub(crate) lists: Vec<Choice>,
    pub(crate) states: Vec<Choice>,
    pub(crate) prefix: String,
    pub(crate) errors: bool,
    /// The addresses of the next page and the first page.
    pub(crate) next: Option<String>,
    pub(crate) first: Option<String>,
}

pub(crate) struct Row {
    pub(crate) link: Link,
    pub(crate) state: String,
    pub(crate) changed: Option<ShownTime>,
    pub(crate) errors: i64,
    pub(crate) attempts: u32,
    pub(crate) last_error: String,
}

/// An option of a filter.
pub(crate) struct Choice {
    pub(crate) value: &'static str,
    pub(crate) text: &'static str,
    pub(crate) is_chosen: bool,
}

impl Filter {
    fn list_name(&self) -> &'static str {
        match self.list {
            ListName::Active => "active",
            ListName::Cleanup => "cleanup",
            ListName::Dropped => "dropped",
        }
    }

    fn listing(&self) -> work::Listing {
        work::Listing {
            list: self.list,
            state: Some(self.state.clone()).filter(|state| !state.is_empty()),
            prefix: self.prefix.clone(),
            errors: !self.errors.is_empty(),
            page_size: Some(PAGE),
            page_token: self.after.clone(),
        }
    }

    pub(crate) fn find(&self, prefix: &Prefix, process: &ProcessHandle, now: Timestamp) -> Answer<Items> {
        let (found, next) = work::find(process, &self.listing())?;
        let row = |(item, response): &work::Found| {
            row(prefix.item_link(process.name(), &item.name), item, &response.state, now)
        };
        let page = prefix.page(process.name());
        let at = |after: &str| {
            let mut query =
                vec![("list", self.list_name()), ("state", &self.state), ("prefix", &self.prefix)];
            query.extend([("errors", self.errors.as_str()), ("after", after)]);
            format!("{}#items", with_query(&page, &query))
        };
        Ok(Items {
            rows: found.iter().map(row).collect(),
            lists: choices(&LISTS, self.list_name()),
            states: choices(&STATES, &self.state),
            prefix: show::text(&self.prefix),
            errors: !self.errors.is_empty(),
            next: next.as_deref().map(at),
            first: self.after.as_ref().map(|_| at("")),
        })
    }
}

const LISTS: [(&str, &str); 3] =
    [("active", "Active"), ("cleanup", "To be cleaned up"), ("dropped", "Dropped")];

const STATES: [(&str, &str); 6] = [
    ("", "Any state"),
    ("queued", "Queued"),
    ("active", "Active"),
    ("completed", "Completed"),
    ("incomplete", "Incomplete"),
    ("aborted", "Aborted"),
];

fn choices(all: &[(&'static str, &'static str)], chosen: &str) -> Vec<Choice> {
    let choice =
        |(value, text): &(&'static str, &'static str)| Choice { value, text, is_chosen: *value == chosen };
    all.iter().map(choice).collect()
}

fn row(link: Link, item: &Item, state: &str, now: Timestamp) -> Row {
    let status = item.work.as_ref().and_then(|work| work.status.as_ref());
    let last = status.and_then(|status| status.errors.last());
    let progress = status.and_then(|status| show::from_wire(status.progress_time.as_ref()));
    Row {
        link,
        state: state.to_owned(),
        changed: progress.or(item.since).map(|time| show::moment(time, now)),
        errors: status.map_or(0, |status| status.total_errors),
        attempts: item.failed_attempts,
        last_error: last.map(|error| show::first_line(&error.text)).unwrap_or_default(),
    }
}
