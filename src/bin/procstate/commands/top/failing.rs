//! The items of a process that fail.

use std::time::{Duration, Instant};

use procstate::proto::State;
use procstate::{List, ProcessHandle, Result, StoredItem};

use crate::commands::look::first_line;

/// How many items are shown of a process, and looked for.
const SHOWN_MAX: usize = 20;

/// After how many items it looks at the time.
const STEP: usize = 1000;

/// How much longer than looking for them takes it is not done again.
const REST: u32 = 20;

/// An item that fails.
#[derive(Clone)]
pub(super) struct Failing {
    pub(super) work: String,
    pub(super) state: State,
    pub(super) errors: i64,
    pub(super) error: String,
}

/// Goes through the items of a process, a part at a time, and over and over.
#[derive(Default)]
pub(super) struct Search {
    /// Those of the last time that it came to the end.
    found: Vec<Failing>,
    /// Those of this time.
    coming: Vec<Failing>,
    after: Option<String>,
    took: Duration,
    rests_until: Option<Instant>,
}

impl Search {
    /// Those that are known of.
    pub(super) fn failing(&self) -> &[Failing] {
        if self.found.is_empty() { &self.coming } else { &self.found }
    }

    /// Goes on, to the end or for so long.
    pub(super) fn go_on(&mut self, process: &ProcessHandle, time_max: Option<Duration>) -> Result<()> {
        let began = Instant::now();
        if self.rests_until.is_some_and(|until| began < until) {
            return Ok(());
        }
        let mut items = process.items(List::Active);
        if let Some(after) = &self.after {
            items = items.after(after);
        }
        for (number, item) in (1..).zip(items) {
            let item = item?;
            self.coming.extend(failing(&item)?);
            if self.coming.len() == SHOWN_MAX {
                break;
            }
            if number % STEP == 0 && time_max.is_some_and(|max| began.elapsed() >= max) {
                self.after = Some(item.name().to_owned());
                self.took += began.elapsed();
                return Ok(());
            }
        }
        self.end(began.elapsed());
        Ok(())
    }

    fn end(&mut self, took: Duration) {
        self.rests_until = Instant::now().checked_add((self.took + took) * REST);
        self.took = Duration::ZERO;
        self.after = None;
        self.found = std::mem::take(&mut self.coming);
    }
}

/// The item, if its last attempt failed, or errors came up in the one that is on.
fn failing(item: &StoredItem) -> Result<Option<Failing>> {
    let Some(state) = item.state() else { return Ok(None) };
    let fails = match state {
        State::Incomplete | State::Aborted => true,
        State::Active => item.total_errors() > 0,
        State::Unspecified | State::New | State::Completed => false,
    };
    if !fails {
        return Ok(None);
    }
    let status = item.to_item()?.work.and_then(|work| work.status).unwrap_or_default();
    let error = status.errors.last().map_or(String::new(), |error| first_line(&error.text));
    Ok(Some(Failing { work: item.name().to_owned(), state, errors: item.total_errors(), error }))
}

#[cfg(test)]
mod tests {
    use procstate::{Params, Runner, Store};

    use super::*;

    #[test]
    fn a_long_list_is_gone_through_bit_by_bit() {
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
        search.go_on(&process, Some(Duration::ZERO)).unwrap();
        assert_eq!(names(&search), ["0000"]);
        search.go_on(&process, Some(Duration::ZERO)).unwrap();
        search.go_on(&process, Some(Duration::ZERO)).unwrap();
        assert_eq!(names(&search), ["0000", "2400"]);
        assert_eq!(search.failing()[1].error, "it failed");
        // It is as it was while the search rests, and then as it is.
        process.retry_failed().unwrap();
        search.rests_until = None;
        search.go_on(&process, None).unwrap();
        assert!(names(&search).is_empty());
    }
}
