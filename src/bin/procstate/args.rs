//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use procstate::Params;
use procstate::recovery::Until;

use crate::commands::run::args::Run;

const REGISTER_EXAMPLES: &str = "\
Examples:
  procstate --db state register nightly a b c --int tries=3
  find photos -name '*.jpg' -print0 | procstate --db state register thumbs - -0 --exact";

/// Looks at a store of background-process state, changes it, and runs commands for its work items.
///
/// Data goes to standard output, messages go to standard error. Exit status: 0 success, 1 findings
/// (the name is absent, work was left undone), 2 could not run; `run` has more. Commands that only
/// read work on a private copy and never change the store. While a program has the store open and
/// serves the control socket in its folder, commands go through that socket and behave the same.
#[derive(Debug, Parser)]
#[command(name = "procstate", version, max_term_width = 100)]
pub(crate) struct Args {
    /// The folder of the store.
    #[arg(long, value_name = "DIR", env = "PROCSTATE_DB", global = true)]
    pub(crate) db: Option<PathBuf>,

    /// The address of a served store, instead of a folder: http://HOST:PORT.
    #[arg(long, value_name = "URL", env = "PROCSTATE_URL", conflicts_with = "db", global = true)]
    pub(crate) url: Option<String>,

    /// A file with the token that --url sends, or that `serve --listen` requires. Default: the
    /// environment variable PROCSTATE_TOKEN.
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) token_file: Option<PathBuf>,

    /// Print JSON: canonical protobuf JSON for processes and work, otherwise one object per line.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Log more details.
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create an empty store.
    Init,
    /// Store processes that other programs wrote, as JSON or binary.
    ///
    /// The content decides the format: JSON objects, arrays of them, or binary. All files
    /// are read and checked before anything is written; each process is stored completely or
    /// not at all.
    Import(Import),
    /// Write processes for other programs.
    ///
    /// JSON: one process per line. Binary: length-delimited Process messages.
    Export(Export),
    /// List the processes.
    Ls,
    /// Show one process.
    Show {
        /// The process.
        name: String,
    },
    /// List the work of a process, or show one item.
    Work {
        /// The process.
        name: String,
        /// The work item.
        work: Option<OsString>,
    },
    /// Put work on the active list, or change its parameters.
    ///
    /// Creates the process if it does not exist. Reads and checks all items before it writes
    /// any. It writes a thousand items at a time; if it is interrupted, run the same command
    /// again to write the rest.
    ///
    /// A list has one name per line, with any line endings; empty lines are skipped. A name
    /// that appears twice is one item.
    ///
    /// A file name that is not UTF-8 becomes the work %bytes:NAME, in which each byte that
    /// is not UTF-8, and each %, is % and two digits: %bytes:caf%E9.
    #[command(after_long_help = REGISTER_EXAMPLES)]
    Register(Register),
    /// Take work off the active list, to be cleaned up and dropped.
    ///
    /// Exit status 1 if none of the items exists: they were never registered, or were
    /// purged.
    Unregister(Unregister),
    /// Show or change the settings of a process.
    ///
    /// Without options it shows them. With options it changes those that are named, and
    /// creates the process if it does not exist.
    Settings(SettingsArgs),
    /// Release the lock of a dead owner, and print whose it was.
    ///
    /// The unfinished run stays for the next instance to resume.
    Release {
        /// The process.
        name: String,
    },
    /// Pause a process: its runners start no items until it is resumed.
    Pause {
        /// The process.
        name: String,
    },
    /// Resume a paused process.
    Resume {
        /// The process.
        name: String,
    },
    /// Queue work once more, and make a run due.
    Retry(RetryArgs),
    /// Remove dropped work and past runs that are old.
    Purge {
        /// The process.
        name: String,
        /// How old: 90s, 12h, 30d.
        #[arg(long, value_name = "AGE", value_parser = crate::input::duration::parse)]
        older_than: Duration,
    },
    /// List the past runs of a process.
    History {
        /// The process.
        name: String,
    },
    /// Print sizes and counts of the store.
    Stats,
    /// Read everything in a store, change nothing, and list everything that is wrong.
    ///
    /// Exit status 1 if anything is damaged; notes alone are 0. No program may have the
    /// store open.
    Verify(Scratch),
    /// Write a backup of the whole store to a new file.
    ///
    /// Writers do not wait for it. A program that has the store open can also write the
    /// backup itself (`Store::backup`).
    Backup {
        /// The file; it must not exist.
        file: PathBuf,
    },
    /// Make a new store from a backup, or from the state of another store at some moment.
    Restore(Restore),
    /// Reclaim space: rebuild the index, and delete log that is no longer needed.
    ///
    /// The store stays complete if this is interrupted at any moment. Needs space for a
    /// second index while it runs.
    Compact {
        /// Also delete damaged indexes that were kept for inspection when opening the store
        /// rebuilt them.
        #[arg(long)]
        remove_damaged: bool,
    },
    /// Print the log, one line per commit: number, time, owner, and what changed
    /// (+ written, - deleted).
    ///
    /// It goes back to the newest snapshot, or further. Exit status 1 if part of it is
    /// missing.
    Log(Log),
    /// Make a new store of everything that can still be read from a damaged one.
    ///
    /// Never changes the damaged store. Exit status 1 if anything is missing from the new
    /// store or may be older than it was; each such record is listed (with --json, every
    /// record).
    Salvage {
        /// The folder of the new store; it must not exist, or be empty.
        #[arg(long, value_name = "NEWDIR")]
        output: PathBuf,
        #[command(flatten)]
        scratch: Scratch,
    },
    /// Run a command for each active work item, whether or not a run is due.
    ///
    /// {} in the command stands for the name of the item, {param} for a parameter of the
    /// item, or of the process if the item has none of that name; a command with neither
    /// gets the name as its last argument. The command also finds PROCSTATE_PROCESS,
    /// PROCSTATE_WORK, PROCSTATE_ATTEMPT, and the item's parameters as PROCSTATE_INT_name
    /// and PROCSTATE_STR_name in its environment. Exit status 0 completes the item; any
    /// other is kept with the last lines of standard error. Work that was unregistered is
    /// dropped without a command.
    ///
    /// Killed at any moment and started again, it continues where it stopped: completed
    /// items are not done again. Interrupt it once (SIGINT, SIGTERM, SIGHUP) to stop after
    /// the items in progress, twice to stop these too, three times to kill them. A command
    /// that takes too long or is stopped gets SIGTERM, with everything that it started, and
    /// SIGKILL after --kill-after. If procstate itself is killed, its watchdog, a second
    /// program, stops the commands within a second.
    ///
    /// Exit status: 0 everything is done, 1 items failed, 2 could not run, 3 stopped by
    /// --max-errors, 130 interrupted.
    ///
    /// Example: procstate --db state run nightly --jobs 2 -- ./job.sh {}
    Run(Box<Run>),
    /// Watch the processes: how far each run is, how fast it goes, and which items fail.
    ///
    /// Redraws every second while a program has the store open; q quits. An owner in
    /// brackets shows no life. Rate and remaining time are measured over the last 30 s. If no
    /// program has the store open, if the output is not a terminal, or with --json, it prints
    /// once.
    Top(Top),
    /// Serve a store: to this tool through the socket in its folder, and as an HTTP API.
    ///
    /// While it runs, every other command on the folder goes through it. SIGINT or SIGTERM
    /// stops it.
    Serve(Serve),
    /// Print the output of an item that `run --logs` kept.
    ///
    /// Prints the standard output of its command to standard output, and its standard error
    /// to standard error. Exit status 1 if there is none.
    Logs(Logs),
    /// What stops the commands of a run whose program was killed.
    #[command(hide = true)]
    Watchdog {
        /// How the token of its commands begins.
        token: String,
        /// The number of the program.
        parent: i32,
    },
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Import {
    /// The files; - is standard input.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Replace a process of the same name, with its history.
    #[arg(long)]
    pub(crate) replace: bool,
    /// Merge into a process of the same name and drop nothing of it: its lock, settings and
    /// schedule stay. For work that both have, the later registration, change or
    /// unregistration wins (the imported one if the times are equal or absent), and so does
    /// the later status, unless a run here is unfinished. The imported run becomes one of the
    /// past runs, or the latest run if there was none. Merging again changes nothing.
    #[arg(long, conflicts_with = "replace")]
    pub(crate) merge: bool,
    /// Skip fields that the schema does not know, instead of refusing them.
    #[arg(long)]
    pub(crate) ignore_unknown: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Scratch {
    /// The folder for a temporary private copy of the index, which is opened in place of the
    /// store's own; on the store's file system the copy may take no space. Default: the
    /// system's folder for temporary files.
    #[arg(long, value_name = "DIR")]
    pub(crate) scratch: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Restore {
    /// A backup, or the folder of a store that no program has open.
    #[arg(value_name = "FILE|DIR")]
    pub(crate) from: PathBuf,
    /// The folder of the new store; it must not exist, or be empty.
    #[arg(long, value_name = "NEWDIR")]
    pub(crate) into: PathBuf,
    /// Restore up to this commit, or up to the last commit before this time, as far back as
    /// the log of the store reaches: 1234, 2026-11-24T03:00:00Z.
    #[arg(long, value_name = "SEQ|TIME", value_parser = crate::input::until::parse)]
    pub(crate) until: Option<Until>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Export {
    /// The processes; all if none is given.
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// The format.
    #[arg(long, value_enum, default_value_t = Format::Json)]
    pub(crate) format: Format,
    /// Write to this file instead of standard output; the file is replaced once everything
    /// is written.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Json,
    Binary,
}

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
    /// No schedule: a run is due whenever nobody holds the process.
    #[arg(long, conflicts_with_all = ["every", "cron"])]
    pub(crate) no_schedule: bool,
    #[command(flatten)]
    pub(crate) params: ParamArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ParamArgs {
    /// A parameter that is a whole number.
    #[arg(long = "int", value_name = "NAME=VALUE", value_parser = int_param)]
    ints: Vec<(String, i64)>,
    /// A parameter that is a text.
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

/// How many arguments follow `--`, where a `-` is a name like any other.
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

#[derive(Debug, ClapArgs)]
pub(crate) struct Log {
    /// The first commit that is printed.
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    pub(crate) from: u64,
    /// Keep printing commits as the program that has the store open makes them.
    #[arg(short, long)]
    pub(crate) follow: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Top {
    /// How often to redraw.
    #[arg(short = 'n', long, value_name = "TIME", default_value = "1", value_parser = crate::input::duration::parse)]
    pub(crate) interval: Duration,
    /// Print the current state once, and exit.
    #[arg(long)]
    pub(crate) once: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Serve {
    /// Listen on this address too: 127.0.0.1:8080, port 0 for any. Prints the addresses. An
    /// address that other machines can reach needs a token.
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Vec<String>,
    /// Refuse all changes.
    #[arg(long)]
    pub(crate) read_only: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Logs {
    /// The process.
    pub(crate) name: String,
    /// The work item.
    pub(crate) work: String,
    /// Only standard output.
    #[arg(long, conflicts_with = "stderr")]
    pub(crate) stdout: bool,
    /// Only standard error.
    #[arg(long)]
    pub(crate) stderr: bool,
    /// The folder that was passed to `run --logs`. Default: that of the last such run.
    #[arg(long, value_name = "DIR")]
    pub(crate) logs: Option<PathBuf>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }
}
