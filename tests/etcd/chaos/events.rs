//! The event log of each program: a file outside the store with its calls and their results.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::str::Split;
use std::sync::Mutex;

use rustix::time::{ClockId, clock_gettime};

/// An event and its time on the monotonic clock, which all programs of a machine share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub at: u64,
    pub event: Event,
}

/// A program records a call before it makes it (`…Try`), and the result once the call returns. If
/// the result is missing, the program was killed or the call returned an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The program starts to count, with its counter at this value.
    Begin {
        counter: u64,
    },
    CountTry {
        to: u64,
    },
    /// Accepted; `changed` is false if the store had the value already.
    Counted {
        to: u64,
        changed: bool,
    },
    /// Refused; `surely` is false if the count may have been written.
    CountFailed {
        to: u64,
        surely: bool,
    },
    ClaimTry {
        instance: String,
    },
    /// Another program owns the process.
    ClaimRefused,
    /// `surely` is false if the claim may have succeeded.
    ClaimFailed {
        surely: bool,
    },
    Won {
        token: u64,
    },
    /// The program was certain at this time that it was the owner.
    Sure {
        token: u64,
    },
    StepTry {
        token: u64,
        item: String,
    },
    /// Accepted: the number of steps of the run.
    Stepped {
        token: u64,
        steps: u64,
    },
    DoneTry {
        token: u64,
        item: String,
    },
    Done {
        token: u64,
        item: String,
    },
    FinishTry {
        token: u64,
    },
    Finished {
        token: u64,
        steps: u64,
        completed: bool,
    },
    /// The program learned that it is no longer the owner.
    Lost {
        token: u64,
    },
    /// A call failed; the text is for the reader of a failed test.
    Failed {
        text: String,
    },
    /// The worker of a runner has finished an item.
    Ran {
        item: String,
    },
}

/// Returns the time on the monotonic clock in nanoseconds.
pub fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// The event log that a program writes.
pub struct EventLog(Mutex<File>);

impl EventLog {
    pub fn open(path: &Path) -> Self {
        Self(Mutex::new(File::options().create(true).append(true).open(path).unwrap()))
    }

    pub fn record(&self, event: Event) {
        self.record_at(now(), event);
    }

    /// Writes the line in one call, so that a kill cannot tear it.
    pub fn record_at(&self, at: u64, event: Event) {
        let line = format!("{at} {}\n", event.write());
        self.0.lock().unwrap().write_all(line.as_bytes()).unwrap();
    }
}

/// Reads the events that a program has recorded so far.
pub fn read(path: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(lines, _)| lines);
    whole.lines().map(Line::parse).collect()
}

impl Line {
    fn parse(line: &str) -> Self {
        let (at, event) = line.split_once(' ').unwrap();
        let event = Event::parse(event).unwrap_or_else(|| panic!("not a line of an event log: {line:?}"));
        Self { at: at.parse().unwrap(), event }
    }
}

impl Event {
    fn write(&self) -> String {
        match self {
            Self::Begin { counter } => format!("begin {counter}"),
            Self::CountTry { to } => format!("count? {to}"),
            Self::Counted { to, changed } => format!("count! {to} {changed}"),
            Self::CountFailed { to, surely } => format!("count- {to} {surely}"),
            Self::ClaimTry { instance } => format!("claim? {instance}"),
            Self::ClaimRefused => "claim!".to_owned(),
            Self::ClaimFailed { surely } => format!("claim- {surely}"),
            Self::Won { token } => format!("won {token}"),
            Self::Sure { token } => format!("sure {token}"),
            Self::StepTry { token, item } => format!("step? {token} {item}"),
            Self::Stepped { token, steps } => format!("step! {token} {steps}"),
            Self::DoneTry { token, item } => format!("done? {token} {item}"),
            Self::Done { token, item } => format!("done! {token} {item}"),
            Self::FinishTry { token } => format!("finish? {token}"),
            Self::Finished { token, steps, completed } => format!("finish! {token} {steps} {completed}"),
            Self::Lost { token } => format!("lost {token}"),
            Self::Failed { text } => format!("failed {}", text.replace('\n', " ")),
            Self::Ran { item } => format!("ran {item}"),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let (what, rest) = line.split_once(' ').unwrap_or((line, ""));
        let mut words = rest.split(' ');
        let event = match what {
            "begin" => Self::Begin { counter: number(&mut words)? },
            "count?" => Self::CountTry { to: number(&mut words)? },
            "count!" => Self::Counted { to: number(&mut words)?, changed: boolean(&mut words)? },
            "count-" => Self::CountFailed { to: number(&mut words)?, surely: boolean(&mut words)? },
            "claim?" => Self::ClaimTry { instance: rest.to_owned() },
            "claim!" => Self::ClaimRefused,
            "claim-" => Self::ClaimFailed { surely: boolean(&mut words)? },
            "won" => Self::Won { token: number(&mut words)? },
            "sure" => Self::Sure { token: number(&mut words)? },
            "step?" => Self::StepTry { token: number(&mut words)?, item: words.next()?.to_owned() },
            "step!" => Self::Stepped { token: number(&mut words)?, steps: number(&mut words)? },
            "done?" => Self::DoneTry { token: number(&mut words)?, item: words.next()?.to_owned() },
            "done!" => Self::Done { token: number(&mut words)?, item: words.next()?.to_owned() },
            "finish?" => Self::FinishTry { token: number(&mut words)? },
            "finish!" => {
                let (token, steps) = (number(&mut words)?, number(&mut words)?);
                Self::Finished { token, steps, completed: boolean(&mut words)? }
            }
            "lost" => Self::Lost { token: number(&mut words)? },
            "failed" => Self::Failed { text: rest.to_owned() },
            "ran" => Self::Ran { item: rest.to_owned() },
            _ => return None,
        };
        Some(event)
    }
}

fn number(words: &mut Split<'_, char>) -> Option<u64> {
    words.next()?.parse().ok()
}

fn boolean(words: &mut Split<'_, char>) -> Option<bool> {
    words.next()?.parse().ok()
}
