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
    /// The minimum time between the starts of two commands.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) delay: Option<Duration>,
    /// Start no command while the load average of the last minute is above this: a number, or a
    /// percentage of the processors like 80%.
    #[arg(long, value_name = "LOAD", value_parser = load)]
    pub(super) max_load: Option<f64>,
    /// Add N, from -20 to 19, to the niceness of this program and so of its commands.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(-20..=19), allow_hyphen_values = true)]
    pub(super) nice: Option<i32>,
}

/// What happens when commands fail, or take too long.
#[derive(Debug, Args)]
#[command(next_help_heading = "Failures")]
pub(super) struct Failures {
    /// How often a failed item is retried, with growing pauses.
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub(super) retries: u32,
    /// How long one command may take before it and everything that it started are stopped.
    #[arg(long, value_name = "TIME", value_parser = nonzero_duration)]
    pub(super) timeout: Option<Duration>,
    /// The time between SIGTERM and SIGKILL when commands are stopped.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub(super) kill_after: Duration,
    /// Stop the run once more than this many items have failed: a number, a percentage of the
    /// active items like 10%, or none. Default: the setting of the process.
    #[arg(long, value_name = "N|N%|none")]
    pub(super) max_errors: Option<FailureLimit>,
    /// How a run with too many errors stops: after the items in progress, or by stopping these too.
    #[arg(long, value_enum, default_value_t = Halt::Soon)]
    pub(super) halt: Halt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Halt {
    Soon,
    Now,
}

/// Which items are processed, and when.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which items, and when")]
pub(super) struct When {
    /// Drop completed items: later runs do not repeat them.
    #[arg(long)]
    pub(super) once: bool,
    /// Only process items that failed, were not begun, or are new.
    #[arg(long)]
    pub(super) failed: bool,
    /// Print the commands without running them.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// For cron: exit with 0 and without a message if no run is due, the process is paused, or
    /// another program has the store open for more than a moment.
    #[arg(long)]
    pub(super) if_due: bool,
    /// Wait until no other program has the store open, instead of 3 seconds; with a time, at most
    /// that long. The time needs an equals sign: --wait=30s.
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "8760h", value_parser = duration)]
    pub(super) wait: Option<Duration>,
    /// Keep running, and start a run whenever one is due by this schedule, which is stored in the
    /// process. Between runs other commands can use the store.
    #[arg(long, value_name = "TIME", conflicts_with_all = ["if_due", "dry_run"], value_parser = nonzero_duration)]
    pub(super) every: Option<Duration>,
    /// Keep running, and start a run at the times of this crontab expression: five fields, and a
    /// time zone if it is not the system's, like "30 4 * * MON-FRI Europe/Berlin". Between runs
    /// other commands can use the store.
    #[arg(long, value_name = "EXPR", conflicts_with_all = ["every", "if_due", "dry_run"], value_parser = super::schedule::crontab)]
    pub(super) cron: Option<cronexpr::Crontab>,
}

/// How a command receives its item.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input of the commands")]
pub(super) struct Input {
    /// Use this text instead of {} as the placeholder for the name; braces are then literal.
    #[arg(short = 'I', long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(super) replace: Option<String>,
    /// The standard input of a command: nothing, or its item as a JSON object with process, work,
    /// attempt, intParams and stringParams.
    #[arg(long, value_enum, default_value_t = Stdin::None)]
    pub(super) stdin: Stdin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Stdin {
    None,
    Json,
}

/// What is recorded about the commands.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct Records {
    /// Prefix each line that a command writes with the name of its item and a tab.
    #[arg(long)]
    pub(super) tag: bool,
    /// Keep the output of each item in files in this folder; `procstate logs` prints them.
    #[arg(long, value_name = "DIR")]
    pub(super) logs: Option<PathBuf>,
    /// The maximum number of bytes kept of each output: the first half and the last half of it,
    /// like 10MiB. The last half is held in memory until the command ends. Default: all.
    #[arg(long, value_name = "SIZE", requires = "logs", value_parser = size)]
    pub(super) log_max: Option<u64>,
    /// Append a line for each command to this file, in the format of GNU parallel's --joblog.
    #[arg(long, value_name = "FILE")]
    pub(super) joblog: Option<PathBuf>,
    /// How the run reports its progress on standard error. Default: a bar on a terminal, plain
    /// lines elsewhere.
    #[arg(long, value_enum)]
    pub(super) progress: Option<Progress>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Progress {
    /// A line for each item that ended.
    Plain,
    /// A bar, and a line for each failed item.
    Bar,
    /// A JSON object for each item that started or ended.
    Json,
    /// Only the summary.
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
