//! The arguments of `run`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use procstate::FailureLimit;

use crate::input::duration::parse as duration;

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The process.
    pub(crate) name: String,
    /// The command and its arguments.
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<std::ffi::OsString>,

    #[command(flatten)]
    pub(super) pace: Pace,
    #[command(flatten)]
    pub(super) failures: Failures,
    #[command(flatten)]
    pub(super) when: When,
    #[command(flatten)]
    pub(super) input: Input,
    #[command(flatten)]
    pub(super) records: Records,
}

/// How many commands run, and how fast.
#[derive(Debug, Args)]
#[command(next_help_heading = "Pace")]
pub(super) struct Pace {
    /// How many commands run at once.
    #[arg(long, short, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) jobs: u16,
    /// Starts commands at least so long after one another.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) delay: Option<Duration>,
    /// Starts no command while the load average of the last minute is above this:
    /// a number, or a share of the processors like 80%.
    #[arg(long, value_name = "LOAD", value_parser = load)]
    pub(super) max_load: Option<f64>,
    /// Adds N, from -20 to 19, to the niceness of this program and so of its commands.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(-20..=19), allow_hyphen_values = true)]
    pub(super) nice: Option<i32>,
}

/// What happens when commands fail, or take too long.
#[derive(Debug, Args)]
#[command(next_help_heading = "Failures")]
pub(super) struct Failures {
    /// How often an item that fails is tried again, with growing pauses.
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub(super) retries: u32,
    /// How long one command may take before it and all that it started are stopped.
    #[arg(long, value_name = "TIME", value_parser = nonzero_duration)]
    pub(super) timeout: Option<Duration>,
    /// How long what is stopped with SIGTERM may go on before SIGKILL.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub(super) kill_after: Duration,
    /// Stops the run once more than so many items have failed: a number, a share of
    /// the active items like 10%, or none. Without it as the settings of the process say.
    #[arg(long, value_name = "N|N%|none")]
    pub(super) max_errors: Option<FailureLimit>,
    /// How a run stops that has too many errors: once the items in hand are done, or
    /// with them stopped too.
    #[arg(long, value_enum, default_value_t = Halt::Soon)]
    pub(super) halt: Halt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Halt {
    Soon,
    Now,
}

/// Which items are done, and when.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which items, and when")]
pub(super) struct When {
    /// An item that completes is done for good: later runs do not do it again.
    #[arg(long)]
    pub(super) once: bool,
    /// Only what failed last time, what was not begun, and what is new.
    #[arg(long)]
    pub(super) failed: bool,
    /// Prints the commands and runs none.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// For cron: ends at once with 0, and says nothing, if no run is due, the process
    /// is paused, or another program has the store open.
    #[arg(long)]
    pub(super) if_due: bool,
    /// Waits until no other program has the store open; with a time at most so long.
    /// The time needs an equals sign: --wait=30s.
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "8760h", value_parser = duration)]
    pub(super) wait: Option<Duration>,
    /// Stays, and runs whenever a run is due by this schedule, which the process keeps.
    /// Between runs other commands can use the store.
    #[arg(long, value_name = "TIME", conflicts_with_all = ["if_due", "dry_run"], value_parser = nonzero_duration)]
    pub(super) every: Option<Duration>,
    /// Stays, and runs at the times of this crontab expression: five fields, and a
    /// time zone if it is not the system's, like "30 4 * * MON-FRI Europe/Berlin".
    /// Between runs other commands can use the store.
    #[arg(long, value_name = "EXPR", conflicts_with_all = ["every", "if_due", "dry_run"], value_parser = super::schedule::crontab)]
    pub(super) cron: Option<cronexpr::Crontab>,
}

/// How a command gets to know its item.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input of the commands")]
pub(super) struct Input {
    /// Stands for the name of the item instead of {}; braces then mean nothing.
    #[arg(short = 'I', long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(super) replace: Option<String>,
    /// What a command finds on its standard input: nothing, or its item as one JSON
    /// object with process, work, attempt, intParams and stringParams.
    #[arg(long, value_enum, default_value_t = Stdin::None)]
    pub(super) stdin: Stdin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Stdin {
    None,
    Json,
}

/// What is written down of the commands.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct Records {
    /// Begins each line that a command writes with the name of its item and a tab.
    #[arg(long)]
    pub(super) tag: bool,
    /// Keeps the output of each item in files under this folder; `procstate logs`
    /// shows them.
    #[arg(long, value_name = "DIR")]
    pub(super) logs: Option<PathBuf>,
    /// The most bytes that are kept of each output: the first half and the last half
    /// of so many, like 10MiB. The last half is held in memory until the command ends.
    /// Default: all.
    #[arg(long, value_name = "SIZE", requires = "logs", value_parser = size)]
    pub(super) log_max: Option<u64>,
    /// Appends a line for each command to this file, in the format of GNU parallel's
    /// --joblog.
    #[arg(long, value_name = "FILE")]
    pub(super) joblog: Option<PathBuf>,
    /// How the run tells how far it is, on standard error. Default: a bar on a
    /// terminal, plain lines elsewhere.
    #[arg(long, value_enum)]
    pub(super) progress: Option<Progress>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Progress {
    /// A line for each item that ended.
    Plain,
    /// A bar, and a line for each item that failed.
    Bar,
    /// A JSON object for each item that began or ended.
    Json,
    /// Nothing but the end of the run.
    None,
}

fn nonzero_duration(text: &str) -> Result<Duration, String> {
    duration(text)
        .and_then(|time| if time.is_zero() { Err("it must be above zero".to_owned()) } else { Ok(time) })
}

fn load(text: &str) -> Result<f64, String> {
    let (number, factor) = match text.strip_suffix('%') {
        Some(share) => (share, processors() / 100.0),
        None => (text, 1.0),
    };
    match number.parse::<f64>() {
        Ok(load) if load.is_finite() && load > 0.0 => Ok(load * factor),
        _ => Err("it must be a number above zero, or a share of the processors like 80%".to_owned()),
    }
}

fn processors() -> f64 {
    std::thread::available_parallelism().map_or(1.0, |n| u32::try_from(n.get()).map_or(1.0, f64::from))
}

fn size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 6] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("K", 1 << 10),
        ("M", 1 << 20),
        ("G", 1 << 30),
    ];
    let unit = UNITS.iter().find_map(|(name, bytes)| Some((text.strip_suffix(name)?, *bytes)));
    let (number, unit) = unit.unwrap_or((text, 1));
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit))
        .ok_or_else(|| "it must be a number of bytes, or like 64KiB, 10MiB, 1GiB".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("10M"), Ok(10 << 20));
        assert_eq!(size("7"), Ok(7));
        for wrong in ["", "MiB", "-1", "1.5K", "99999999999G"] {
            assert!(size(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn loads_are_above_zero() {
        assert_eq!(load("2.5"), Ok(2.5));
        assert_eq!(load("100%"), Ok(processors()));
        for wrong in ["0", "-1", "inf", "x%", ""] {
            assert!(load(wrong).is_err(), "{wrong:?}");
        }
    }
}
