//! Samples the processes repeatedly.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use procstate::proto::State;
use procstate::{ProcessHandle, Result, Store, Summary, Timestamp};

use super::failing::{Failing, Search};
use super::rate::Rate;
use crate::commands::look::counts;

/// How long counts are reused, as a multiple of their duration.
const REST: u32 = 20;

/// A sample of a process.
pub(super) struct Sample {
    pub(super) name: String,
    pub(super) state: State,
    pub(super) is_paused: bool,
    pub(super) is_held: bool,
    pub(super) instance: String,
    pub(super) ended: u64,
    pub(super) failed: u64,
    pub(super) total: u64,
    pub(super) errors: i64,
    pub(super) progress: Option<Timestamp>,
    /// The items per second while it is held.
    pub(super) rate: Option<f64>,
    pub(super) eta: Option<Duration>,
    pub(super) failing: Vec<Failing>,
}

/// Samples the processes of a store.
///
/// Work that grows with the number of items is repeated less often the longer it takes.
#[derive(Default)]
pub(super) struct Watcher {
    seen: HashMap<String, Seen>,
}

/// What is kept of a process between samples.
#[derive(Default)]
struct Seen {
    summary: Option<Summary>,
    rests_until: Option<Instant>,
    search: Search,
    rate: Rate,
}

impl Watcher {
    /// Takes a sample, searching the items of each process for at most `search_max`.
    pub(super) fn look(&mut self, store: &Store, search_max: Option<Duration>) -> Result<Vec<Sample>> {
        let names = store.processes()?;
        let mut seen = std::mem::take(&mut self.seen);
        let mut glances = Vec::with_capacity(names.len());
        for name in names {
            let mut known = seen.remove(&name).unwrap_or_default();
            glances.push(known.look(&store.process(&name)?, search_max)?);
            self.seen.insert(name, known);
        }
        Ok(glances)
    }
}

impl Seen {
    fn look(&mut self, process: &ProcessHandle, search_max: Option<Duration>) -> Result<Sample> {
        let now = Instant::now();
        let summary = self.summary(process, now)?;
        let status = process.status()?.unwrap_or_default();
        let (ended, failed) = counts(&status);
        self.rate.see(now, status.start_time, ended);
        self.search.continue_for(process, search_max)?;
        let total = summary.active.max(ended);
        let is_running = summary.is_held && status.state() == State::Active;
        Ok(Sample {
            state: status.state(),
            is_paused: process.is_paused()?,
            is_held: summary.is_held,
            ended,
            failed,
            total,
            errors: status.total_errors,
            progress: status.progress_time.and_then(|it| Timestamp::new(it.seconds, it.nanos).ok()),
            rate: self.rate.per_second().filter(|_| is_running),
            eta: self.rate.time_for(total - ended).filter(|_| is_running),
            failing: self.search.failing().to_vec(),
            name: summary.name,
            instance: summary.instance,
        })
    }

    fn summary(&mut self, process: &ProcessHandle, now: Instant) -> Result<Summary> {
        match &self.summary {
            Some(summary) if self.rests_until.is_some_and(|until| now < until) => Ok(summary.clone()),
            _ => {
                let summary = process.summary()?;
                self.rests_until = now.checked_add(now.elapsed() * REST);
                Ok(self.summary.insert(summary).clone())
            }
        }
    }
}
