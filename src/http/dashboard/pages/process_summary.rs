//! The summary of a process on the pages.

use super::counted::{Dashboard, Since};
use crate::http::dashboard::links::Link;
use crate::http::dashboard::show::{self, ShownTime};
use crate::http::exchange::address::Prefix;
use crate::http::exchange::problem::Answer;
use crate::proto::{State, Status};
use crate::{Counts, ProcessHandle, Settings, Summary, Timestamp};

/// The summary of a process.
pub(crate) struct ProcessSummary {
    pub(crate) link: Link,
    /// The state of the latest run, and its CSS class.
    pub(crate) state: String,
    pub(crate) class: &'static str,
    pub(crate) is_paused: bool,
    pub(crate) bar: Bar,
    pub(crate) rate: Option<String>,
    pub(crate) left: Option<String>,
    pub(crate) errors: u64,
    pub(crate) failed: u64,
    pub(crate) owner: Option<Owner>,
    pub(crate) progress: Option<ShownTime>,
    pub(crate) started: Option<ShownTime>,
    /// When the next run is due; `None` if the schedule cannot be used.
    pub(crate) due: Option<ShownTime>,
    pub(crate) is_due: bool,
    pub(crate) lists: [(&'static str, u64); 3],
    pub(crate) counts: Counts,
}

/// The progress of a run in items.
pub(crate) struct Bar {
    pub(crate) ended: u64,
    pub(crate) total: u64,
}

pub(crate) struct Owner {
    pub(crate) instance: String,
    /// Empty unless programs on several machines share the store.
    pub(crate) whereabouts: String,
    pub(crate) since: Option<ShownTime>,
    /// Whether an active run is alive.
    pub(crate) lives: bool,
}

impl Bar {
    /// The maximum of the bar element, which must be above zero.
    pub(crate) fn max(&self) -> u64 {
        self.total.max(1)
    }

    pub(crate) fn text(&self) -> String {
        format!("{} of {}", show::count(self.ended), show::count(self.total))
    }
}

/// A process as read for its page.
pub(crate) struct Read {
    pub(crate) settings: Settings,
    pub(crate) status: Option<Status>,
    pub(crate) glance: ProcessSummary,
}

impl Read {
    pub(crate) fn new(shared: &Dashboard, prefix: &Prefix, process: &ProcessHandle) -> Answer<Self> {
        let (settings, status) = (process.settings()?, process.status()?);
        let counted = shared.count(process, Since::new(status.as_ref(), settings.version))?;
        let is_paused = process.is_paused()?;
        let link = prefix.process_link(process.name());
        let now = Timestamp::now();
        let glance = glance(link, &counted.summary, counted.counts.clone(), status.as_ref(), is_paused, now);
        Ok(Self { settings, status, glance })
    }
}

fn glance(
    link: Link,
    summary: &Summary,
    counts: Counts,
    status: Option<&Status>,
    is_paused: bool,
    now: Timestamp,
) -> ProcessSummary {
    let moment = |time: Timestamp| show::moment(time, now);
    let run = Run::new(summary, &counts, status);
    let (state, class) = run.state(summary.is_held);
    let speed = run.speed().filter(|_| summary.is_held);
    let left = speed.map(|speed| as_f64(run.bar.total.saturating_sub(run.bar.ended)) / speed);
    let owner = (!summary.instance.is_empty()).then(|| Owner {
        instance: show::text(&summary.instance),
        whereabouts: show::text(&summary.whereabouts),
        since: summary.claimed.map(moment),
        lives: summary.is_held,
    });
    ProcessSummary {
        link,
        state,
        class,
        is_paused,
        rate: speed.map(show::rate),
        left: left.filter(|_| !is_paused).map(show::seconds_text),
        errors: status.map_or(0, |status| status.total_errors.max(0).unsigned_abs()),
        failed: summary.failed,
        owner,
        progress: status.and_then(|status| show::wire_moment(status.progress_time.as_ref(), now)),
        started: status.and_then(|status| show::wire_moment(status.start_time.as_ref(), now)),
        due: (summary.next_due != Timestamp::MAX).then(|| moment(summary.next_due)),
        is_due: !summary.is_held && summary.next_due <= now,
        lists: [("active", summary.active), ("cleanup", summary.cleanup), ("dropped", summary.dropped)],
        counts,
        bar: run.bar,
    }
}

/// The latest run.
struct Run<'a> {
    status: Option<&'a Status>,
    is_on: bool,
    bar: Bar,
}

impl<'a> Run<'a> {
    fn new(summary: &Summary, counts: &Counts, status: Option<&'a Status>) -> Self {
        let ended = status.and_then(|status| status.stats.get("workItems")).copied().unwrap_or_default();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of items")]
        let ended = ended.max(0.0) as u64;
        let is_on = status.is_some_and(|status| status.finish_time.is_none());
        let total = match status.map(Status::state) {
            // The counts may be cached, and fewer items may remain by now.
            _ if is_on => ended.max(summary.ended + counts.remaining),
            Some(State::Completed | State::Incomplete) => ended,
            _ => ended.max(summary.active),
        };
        Self { status, is_on, bar: Bar { ended, total } }
    }

    fn state(&self, is_held: bool) -> (String, &'static str) {
        let Some(status) = self.status else { return ("never ran".to_owned(), "none") };
        match status.state() {
            _ if self.is_on && !is_held => ("abandoned by its owner".to_owned(), "left"),
            State::Completed => (show::state(State::Completed), "completed"),
            State::Incomplete => (show::state(State::Incomplete), "incomplete"),
            State::Aborted => (show::state(State::Aborted), "aborted"),
            state => (show::state(state), "active"),
        }
    }

    /// Returns the items per second so far.
    fn speed(&self) -> Option<f64> {
        let status = self.status.filter(|_| self.is_on && self.bar.ended > 0)?;
        let start = show::from_wire(status.start_time.as_ref())?;
        let progress = show::from_wire(status.progress_time.as_ref())?;
        let seconds = progress.duration_since(start).as_secs_f64();
        (seconds > 0.0).then(|| as_f64(self.bar.ended) / seconds)
    }
}

#[allow(clippy::cast_precision_loss, reason = "a figure for people")]
fn as_f64(count: u64) -> f64 {
    count as f64
}
