//! Arguments of commands that change settings and work items.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args as ClapArgs;
use procstate::{FailureLimit, Params};

#[derive(Debug, ClapArgs)]
pub(crate) struct SettingsArgs {
    /// The process.
    pub(crate) name: String,
    /// How often a run is due: 90s, 1h, 1d. Counted from the epoch in UTC: a period of a day
    /// is due at 00:00 UTC.
    #[arg(long, value_name = "PERIOD", value_parser = crate::input::duration::parse)]
    pub(crate) every: Option<Duration>,
    /// How much later runs are due, such as 2h for 02:00 UTC with a period of a day; less
    /// than the period.
    #[arg(long, value_name = "TIME", requires = "every", value_parser = crate::input::duration::parse)]
    pub(crate) offset: Option<Duration>,
    /// The times at which a run is due: minute, hour, day of the month, month, day of the
    /// week. `30 2 * * *` is 02:30 each night. Runs are due at these times only:
    /// changed settings and new work wait for the next one.
    #[arg(long, value_name = "EXPR", conflicts_with = "every")]
    pub(crate) cron: Option<String>,
    /// The time zone of --cron. If daylight saving skips a time, the run comes later; if a
    /// time occurs twice, the first one counts.
    #[arg(long, value_name = "TZ", requires = "cron", default_value = "UTC")]
    pub(crate) time_zone: String,
    /// No schedule: a run is due whenever the process is not held.
    #[arg(long, conflicts_with_all = ["every", "cron"])]
    pub(crate) no_schedule: bool,
    /// How many items may fail before a run stops: a number, a share like 10%, or none. A limit
    /// that the running program sets itself takes precedence.
    #[arg(long, value_name = "N|N%|none")]
    pub(crate) max_failed_items: Option<FailureLimit>,
    /// The minimum time between the starts of two runs, whatever makes one due; 0s: no limit.
    #[arg(long, value_name = "TIME", value_parser = crate::input::duration::parse)]
    pub(crate) min_interval: Option<Duration>,
    #[command(flatten)]
    pub(crate) params: ParamArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ParamArgs {
    /// A parameter that is an integer.
    #[arg(long = "int", value_name = "NAME=VALUE", value_parser = int_param)]
    ints: Vec<(String, i64)>,
    /// A parameter that is a string.
    #[arg(long = "str", value_name = "NAME=VALUE", value_parser = str_param)]
    strings: Vec<(String, String)>,
}

impl ParamArgs {
    pub(crate) fn is_empty(&self) -> bool {
        self.ints.is_empty() && self.strings.is_empty()
    }

    /// Adds them to `params`.
    pub(crate) fn add_to(&self, params: &mut Params) {
        params.int_params.extend(self.ints.iter().cloned());
        params.string_params.extend(self.strings.iter().cloned());
    }

    pub(crate) fn to_params(&self) -> Params {
        let mut params = Params::new();
        self.add_to(&mut params);
        params
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Items {
    /// The work items; - is a list on standard input, unless it follows --.
    #[arg(value_name = "WORK", required_unless_present = "from")]
    pub(crate) work: Vec<OsString>,
    /// A list of items; - is standard input. May be given several times.
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Vec<PathBuf>,
    /// Names in lists end with NUL, as `find -print0` writes them, and may contain anything
    /// else.
    #[arg(short = '0', long)]
    pub(crate) null: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Register {
    /// The process.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) items: Items,
    /// Each line of a list is a JSON object with the name and parameters of an item:
    /// {"work": "a", "intParams": {"n": 1}, "stringParams": {"s": "x"}}.
    #[arg(long, conflicts_with = "null")]
    pub(crate) json_lines: bool,
    /// Unregister all other active work of the process. An empty list is then refused,
    /// because the program that made it may have failed.
    #[arg(long)]
    pub(crate) exact: bool,
    /// Accept an empty list with --exact, and unregister everything.
    #[arg(long, requires = "exact")]
    pub(crate) allow_empty: bool,
    /// Parameters of all items; an item's own parameter takes precedence.
    #[command(flatten)]
    pub(crate) params: ParamArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Unregister {
    /// The process.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) items: Items,
    /// Also clean up work that was never registered.
    #[arg(long)]
    pub(crate) cleanup_unknown: bool,
}

/// Returns how many arguments follow `--`, after which `-` is an ordinary name.
pub(crate) fn arguments_behind_dashes() -> usize {
    std::env::args_os().skip_while(|argument| argument != "--").skip(1).count()
}

#[derive(Debug, ClapArgs)]
pub(crate) struct RetryArgs {
    /// The process.
    pub(crate) name: String,
    /// The work items.
    #[arg(value_name = "WORK", required_unless_present = "failed")]
    pub(crate) work: Vec<OsString>,
    /// All items that have failed.
    #[arg(long, conflicts_with = "work")]
    pub(crate) failed: bool,
}

fn int_param(text: &str) -> Result<(String, i64), String> {
    let (name, value) = str_param(text)?;
    let value = value.parse().map_err(|error| format!("{value:?} is not a whole number: {error}"))?;
    Ok((name, value))
}

fn str_param(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
