//! What each program was told, as it wrote it down in a file of its own, outside the store.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::str::Split;
use std::sync::Mutex;

use rustix::time::{ClockId, clock_gettime};

/// One thing that a program did or was told, and when: by the monotonic clock, which all
/// programs of a machine share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub at: u64,
    pub told: Told,
}

/// A call is written down before it is made (`…Try`), and once more when it has answered.
/// Without an answer the program was killed, or the answer was an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The program begins, with its counter at this value.
    Begin {
        counter: u64,
    },
    CountTry {
        to: u64,
    },
    /// Accepted; `false` if the store says that nothing was to be changed.
    Counted {
        to: u64,
        changed: bool,
    },
    /// Refused; `false` if the store does not know whether it was.
    CountFailed {
        to: u64,
        surely: bool,
    },
    ClaimTry {
        instance: String,
    },
    /// Somebody else has it.
    ClaimRefused,
    /// `false` if the store does not know whether it was refused.
    ClaimFailed {
        surely: bool,
    },
    Won {
        token: u64,
    },
    /// It was sure at this time to be the owner.
    Sure {
        token: u64,
    },
    StepTry {
        token: u64,
        item: String,
    },
    /// Accepted: the run has made so many steps.
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
    /// It was told that it is the owner no more.
    Lost {
        token: u64,
    },
    /// A call failed, and why, for people.
    Failed {
        text: String,
    },
    /// The worker of a runner has done an item.
    Ran {
        item: String,
    },
}

/// The monotonic clock.
pub fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Where a program writes it down.
pub struct Diary(Mutex<File>);

impl Diary {
    pub fn open(path: &Path) -> Self {
        Self(Mutex::new(File::options().create(true).append(true).open(path).unwrap()))
    }

    pub fn tell(&self, told: Told) {
        self.tell_at(now(), told);
    }

    /// One write a line: a kill tears none.
    pub fn tell_at(&self, at: u64, told: Told) {
        let line = format!("{at} {}\n", told.write());
        self.0.lock().unwrap().write_all(line.as_bytes()).unwrap();
    }
}

/// All that a program has written down so far.
pub fn read(path: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(lines, _)| lines);
    whole.lines().map(Line::parse).collect()
}

impl Line {
    fn parse(line: &str) -> Self {
        let (at, told) = line.split_once(' ').unwrap();
        let told = Told::parse(told).unwrap_or_else(|| panic!("not a line of a diary: {line:?}"));
        Self { at: at.parse().unwrap(), told }
    }
}

impl Told {
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
        let told = match what {
            "begin" => Self::Begin { counter: number(&mut words)? },
            "count?" => Self::CountTry { to: number(&mut words)? },
            "count!" => Self::Counted { to: number(&mut words)?, changed: truth(&mut words)? },
            "count-" => Self::CountFailed { to: number(&mut words)?, surely: truth(&mut words)? },
            "claim?" => Self::ClaimTry { instance: rest.to_owned() },
            "claim!" => Self::ClaimRefused,
            "claim-" => Self::ClaimFailed { surely: truth(&mut words)? },
            "won" => Self::Won { token: number(&mut words)? },
            "sure" => Self::Sure { token: number(&mut words)? },
            "step?" => Self::StepTry { token: number(&mut words)?, item: words.next()?.to_owned() },
            "step!" => Self::Stepped { token: number(&mut words)?, steps: number(&mut words)? },
            "done?" => Self::DoneTry { token: number(&mut words)?, item: words.next()?.to_owned() },
            "done!" => Self::Done { token: number(&mut words)?, item: words.next()?.to_owned() },
            "finish?" => Self::FinishTry { token: number(&mut words)? },
            "finish!" => {
                let (token, steps) = (number(&mut words)?, number(&mut words)?);
                Self::Finished { token, steps, completed: truth(&mut words)? }
            }
            "lost" => Self::Lost { token: number(&mut words)? },
            "failed" => Self::Failed { text: rest.to_owned() },
            "ran" => Self::Ran { item: rest.to_owned() },
            _ => return None,
        };
        Some(told)
    }
}

fn number(words: &mut Split<'_, char>) -> Option<u64> {
    words.next()?.parse().ok()
}

fn truth(words: &mut Split<'_, char>) -> Option<bool> {
    words.next()?.parse().ok()
}
