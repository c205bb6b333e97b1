//! Reports a run: the output of its commands, and its progress.

use std::io;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;
use procstate::proto::{State, Status};
use serde_json::{Value, json};

use crate::commands::look::counts;
use crate::commands::run::args::{Progress, Records};
use crate::commands::run::child::{Stream, Urgency};
use crate::commands::run::interrupts::Interrupts;
use crate::input::duration;
use crate::terminal::output::{can_draw, count, say_unless};
use crate::terminal::patience;
use procstate::text::{visible, visible_json};

/// Reports a run.
///
/// All writes hold one lock, so that lines are never mixed.
pub(crate) struct Report {
    style: Progress,
    /// Whether everything is an event on standard output.
    is_json: bool,
    tags: bool,
    bar: Option<ProgressBar>,
    /// Requests to stop end the wait for a reader that does not read.
    interrupts: Interrupts,
    counts: Mutex<Counts>,
}

struct Counts {
    total: u64,
    done: u64,
    /// The number of items completed before this program took over the run.
    done_before: u64,
    began: Instant,
}

/// An attempt that has ended.
pub(crate) struct Ended<'a> {
    pub(crate) work: &'a str,
    pub(crate) attempt: u32,
    pub(crate) error: Option<&'a str>,
    pub(crate) took: Duration,
    /// Whether the item is retried.
    pub(crate) is_retried: bool,
}

impl Report {
    pub(crate) fn new(records: &Records, is_json: bool, extent: (u64, u64), interrupts: Interrupts) -> Self {
        let (style, (total, done)) = (records.progress, extent);
        let style =
            style.unwrap_or_else(|| if can_draw(&io::stderr()) { Progress::Bar } else { Progress::Plain });
        let bar = (style == Progress::Bar && !is_json).then(|| bar(total, done));
        let counts = Counts { total, done, done_before: done, began: Instant::now() };
        Self { style, is_json, tags: records.tag, bar, interrupts, counts: Mutex::new(counts) }
    }

    pub(crate) fn begun(&self, work: &str, attempt: u32) {
        if self.is_json || self.style == Progress::Json {
            self.event(&json!({"event": "begin", "work": work, "attempt": attempt}));
        }
    }

    /// Forwards whole lines.
    ///
    /// # Errors
    ///
    /// If they could not be written. A closed pipe is not an error.
    pub(crate) fn output(&self, work: &str, stream: Stream, lines: &[u8]) -> io::Result<()> {
        if self.is_json {
            for line in lines.split_inclusive(|byte| *byte == b'\n') {
                let text = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(line)).into_owned();
                let event = json!({"event": "output", "work": work, "stream": stream.name(), "text": text});
                self.write_event(&event)?;
            }
            return Ok(());
        }
        let tagged = if self.tags { tag(work, lines) } else { Vec::new() };
        self.write(stream, if self.tags { &tagged } else { lines })
    }

    pub(crate) fn ended(&self, ended: &Ended<'_>) {
        let (done, total, eta) = self.note_end(ended);
        if self.is_json || self.style == Progress::Json {
            return self.event(&ended.to_json(done, total, eta));
        }
        match &self.bar {
            Some(bar) => {
                bar.set_position(done);
                if ended.error.is_some() {
                    bar.suspend(|| self.say(&ended.to_string()));
                }
            }
            None if self.style == Progress::None => {}
            None => {
                let eta = eta
                    .filter(|eta| eta.as_secs() > 0)
                    .map(|eta| format!(", {} to go", rounded(eta)))
                    .unwrap_or_default();
                let line = format!("{ended} [{done}/{total}{eta}]\n");
                // A failed message does not stop the work.
                let _ = self.write(Stream::Stderr, line.as_bytes());
            }
        }
    }

    fn note_end(&self, ended: &Ended<'_>) -> (u64, u64, Option<Duration>) {
        let mut counts = self.counts.lock();
        if !ended.is_retried {
            counts.done += 1;
            // Items that were registered again exceed the initial total.
            counts.total = counts.total.max(counts.done);
        }
        (counts.done, counts.total, counts.eta())
    }

    /// Prints the summary of the run.
    pub(crate) fn summary(&self, how: &str, status: Option<&Status>) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if self.is_json || self.style == Progress::Json {
            return self.event(&summary_json(how, status));
        }
        match status {
            Some(status) => self.say(&format!("{how}: {}", summary(status))),
            None => self.say(how),
        }
    }

    fn say(&self, text: &str) {
        say_unless(&|| self.interrupts.any(), text);
    }

    /// Prints an event. A failure does not stop the work.
    fn event(&self, event: &Value) {
        let _ = self.write_event(event);
    }

    fn write_event(&self, event: &Value) -> io::Result<()> {
        let line = format!("{}\n", visible_json(&event.to_string()));
        self.write(if self.is_json { Stream::Stdout } else { Stream::Stderr }, line.as_bytes())
    }

    /// Writes while holding the lock.
    fn write(&self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        let write = || {
            let _guard = self.counts.lock();
            let is_enough = || self.interrupts.urgency() > Urgency::GoOn;
            let written = match stream {
                Stream::Stdout => patience::write_all(io::stdout(), bytes, &is_enough),
                Stream::Stderr => patience::write_all(io::stderr(), bytes, &is_enough),
            };
            match written {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                other => other,
            }
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

impl Counts {
    fn eta(&self) -> Option<Duration> {
        let done = u32::try_from(self.done - self.done_before).ok().filter(|done| *done > 0)?;
        let left = u32::try_from(self.total.saturating_sub(self.done)).ok().filter(|left| *left > 0)?;
        (self.began.elapsed() / done).checked_mul(left)
    }
}

impl Ended<'_> {
    fn to_json(&self, done: u64, total: u64, eta: Option<Duration>) -> Value {
        json!({
            "event": "end",
            "work": self.work,
            "attempt": self.attempt,
            "error": self.error,
            "retried": self.is_retried,
            "seconds": self.took.as_secs_f64(),
            "done": done,
            "total": total,
            "etaSeconds": eta.map(|eta| eta.as_secs_f64()),
        })
    }
}

impl std::fmt::Display for Ended<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (work, took) = (visible(self.work), self.took.as_secs_f64());
        match self.error {
            None => write!(f, "{work}: completed ({took:.1}s)"),
            Some(error) => {
                let again = if self.is_retried { ", will be retried" } else { "" };
                write!(f, "{work}: failed, {}{again} ({took:.1}s)", visible(error))
            }
        }
    }
}

fn summary(status: &Status) -> String {
    let (items, failed) = counts(status);
    let (items, errors) = (count(items, "item"), count(status.total_errors, "error"));
    format!("{items}, {failed} of them failed, {errors}")
}

fn summary_json(how: &str, status: Option<&Status>) -> Value {
    let Some(status) = status else {
        return json!({"event": "summary", "state": "interrupted", "text": how});
    };
    let (items, failed) = counts(status);
    let state = status.state().as_str_name().to_ascii_lowercase();
    json!({
        "event": "summary",
        "state": state,
        "items": items,
        "failed": failed,
        "errors": status.total_errors,
        "stoppedBecause": (status.state() == State::Aborted).then(|| status.errors.last().map(|error| &error.text)),
    })
}

fn tag(work: &str, lines: &[u8]) -> Vec<u8> {
    let tag = format!("{}\t", visible(work));
    let mut tagged = Vec::with_capacity(lines.len() + tag.len());
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        tagged.extend_from_slice(tag.as_bytes());
        tagged.extend_from_slice(line);
    }
    tagged
}

/// Rounds to the second, since estimates are not more exact.
fn rounded(time: Duration) -> String {
    duration::format(Duration::from_secs(time.as_secs()))
}

fn bar(total: u64, done: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {eta} to go");
    let bar = ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_position(done);
    bar.reset_eta();
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_its_tag() {
        assert_eq!(tag("a\nb", b"x\n\ny\n"), b"a\\nb\tx\na\\nb\t\na\\nb\ty\n");
    }

    #[test]
    fn estimates_use_the_items_of_this_program() {
        let counts = |total, done, done_before| Counts {
            total,
            done,
            done_before,
            began: Instant::now().checked_sub(Duration::from_secs(10)).unwrap(),
        };
        let eta = |counts: Counts| counts.eta().map(|eta| eta.as_secs());
        assert_eq!(eta(counts(100, 60, 50)), Some(40));
        assert_eq!(eta(counts(100, 50, 50)), None);
        assert_eq!(eta(counts(100, 100, 0)), None);
    }

    #[test]
    fn an_end_is_visible() {
        let ended = Ended {
            work: "a\u{1b}[2J",
            attempt: 1,
            error: Some("x\ny"),
            took: Duration::from_millis(1500),
            is_retried: true,
        };
        assert_eq!(ended.to_string(), "a\\u{1b}[2J: failed, x\\ny, will be retried (1.5s)");
    }
}
