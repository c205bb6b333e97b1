//! Finds the failing items of a process.

use std::time::{Duration, Instant};

use procstate::proto::{State, Status};
use procstate::{Item, List, ProcessHandle, Result};

use crate::commands::look::first_line;

/// The maximum number of failing items per process.
const SHOWN_MAX: usize = 20;

/// The number of items per read.
const PAGE: usize = 1000;

/// How long a search rests, as a multiple of its duration.
const REST: u32 = 20;

/// A failing item.
#[derive(Clone)]
pub(super) struct Failing {
    pub(super) work: String,
    pub(super) state: State,
    pub(super) errors: i64,
    pub(super) error: String,
}

/// Searches the items of a process incrementally and repeatedly.
#[derive(Default)]
pub(super) struct Search {
    /// The result of the last complete search.
    found: Vec<Failing>,
    /// The results of the current search.
    coming: Vec<Failing>,
    after: Option<String>,
    took: Duration,
    rests_until: Option<Instant>,
}

impl Search {
    /// Returns the failing items known so far.
    pub(super) fn failing(&self) -> &[Failing] {
        if self.found.is_empty() { &self.coming } else { &self.found }
    }

    /// Continues the search to the end or for this time.
    pub(super) fn continue_for(&mut self, process: &ProcessHandle, time_max: Option<Duration>) -> Result<()> {
        let began = Instant::now();
        if self.rests_until.is_some_and(|until| began < until) {
            return Ok(());
        }
        loop {
            let page = process.list(List::Active, self.after.as_deref(), PAGE)?;
            self.coming.extend(page.items.iter().filter_map(failing));
            self.coming.truncate(SHOWN_MAX);
            self.after = page.next;
            if self.after.is_none() || self.coming.len() == SHOWN_MAX {
                self.end(began.elapsed());
                return Ok(());
            }
            if time_max.is_some_and(|max| began.elapsed() >= max) {
                self.took += began.elapsed();
                return Ok(());
            }
        }
    }

    fn end(&mut self, took: Duration) {
        self.rests_until = Instant::now().checked_add((self.took + took) * REST);
        self.took = Duration::ZERO;
        self.after = None;
        self.found = std::mem::take(&mut self.coming);
    }
}

/// Returns the item if its last attempt failed, or the current one has errors.
fn failing(item: &Item) -> Option<Failing> {
    let status: &Status = item.work.as_ref()?.status.as_ref()?;
    let fails = match status.state() {
        State::Incomplete | State::Aborted => true,
        State::Active => status.total_errors > 0,
        State::Unspecified | State::New | State::Completed => false,
    };
    fails.then(|| Failing {
        work: item.name.clone(),
        state: status.state(),
        errors: status.total_errors,
        error: status.errors.last().map_or(String::new(), |error| first_line(&error.text)),
    })
}

#[cfg(test)]
mod tests {
    use procstate::{Params, Runner, Store};

    use super::*;

    #[test]
    fn long_lists_are_searched_incrementally() {
        let store = Store::in_memory();
        let process = store.process("p").unwrap();
        process.register_all((0..2500).map(|n| (format!("{n:04}"), Params::new()))).unwrap();
        let fails = |name: &str| ["0000", "2400"].contains(&name);
        let worker = move |work: &mut procstate::WorkContext| match work.name() {
            name if fails(name) => Err("it failed\nbadly".into()),
            _ => Ok(()),
        };
        Runner::builder(&store, "p").worker_fn(worker).build().unwrap().run_now().unwrap();
        let mut search = Search::default();
        let names = |search: &Search| search.failing().iter().map(|it| it.work.clone()).collect::<Vec<_>>();
        search.continue_for(&process, Some(Duration::ZERO)).unwrap();
        assert_eq!(names(&search), ["0000"]);
        search.continue_for(&process, Some(Duration::ZERO)).unwrap();
        search.continue_for(&process, Some(Duration::ZERO)).unwrap();
        assert_eq!(names(&search), ["0000", "2400"]);
        assert_eq!(search.failing()[1].error, "it failed");
        // The result is kept while the search rests, and then updated.
        process.retry_failed().unwrap();
        search.rests_until = None;
        search.continue_for(&process, None).unwrap();
        assert!(names(&search).is_empty());
    }
}
