//! The command line.

mod changes;
mod transfer;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand};

pub(crate) use changes::{Items, Register, RetryArgs, SettingsArgs, Unregister, arguments_behind_dashes};
pub(crate) use transfer::{Export, Format, Import, Restore, Scratch};

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

    #[cfg(feature = "etcd")]
    #[command(flatten)]
    pub(crate) etcd: Etcd,

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

/// A store in etcd, instead of a folder.
#[cfg(feature = "etcd")]
#[derive(Debug, ClapArgs)]
pub(crate) struct Etcd {
    /// The members of an etcd cluster that has the store: http://HOST:PORT, several with
    /// commas between them.
    #[arg(
        long = "etcd",
        value_name = "URL",
        env = "PROCSTATE_ETCD",
        value_delimiter = ',',
        conflicts_with_all = ["db", "url"],
        global = true
    )]
    pub(crate) members: Vec<String>,

    /// What the keys of the store begin with. Default: procstate/
    #[arg(long = "etcd-prefix", value_name = "PREFIX", env = "PROCSTATE_ETCD_PREFIX", global = true)]
    pub(crate) prefix: Option<String>,

    /// The user of etcd; its password is in PROCSTATE_ETCD_PASSWORD in the environment.
    #[arg(long = "etcd-user", value_name = "NAME", env = "PROCSTATE_ETCD_USER", global = true)]
    pub(crate) user: Option<String>,

    /// A file with the certificate of the authority that vouches for the members, in PEM.
    #[arg(long = "etcd-ca", value_name = "FILE", env = "PROCSTATE_ETCD_CA", global = true)]
    pub(crate) ca: Option<PathBuf>,

    /// A file with a certificate to show to the members, in PEM.
    #[arg(
        long = "etcd-cert",
        value_name = "FILE",
        env = "PROCSTATE_ETCD_CERT",
        requires = "key",
        global = true
    )]
    pub(crate) cert: Option<PathBuf>,

    /// A file with its key, in PEM.
    #[arg(
        long = "etcd-key",
        id = "key",
        value_name = "FILE",
        env = "PROCSTATE_ETCD_KEY",
        requires = "cert",
        global = true
    )]
    pub(crate) key: Option<PathBuf>,
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
    /// Make a new store from everything that is still readable in a damaged one.
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
    /// Stop the commands of a run whose program was killed (internal).
    #[command(hide = true)]
    Watchdog {
        /// The start of the token of its commands.
        token: String,
        /// The process id of the program.
        parent: i32,
    },
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_valid() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }
}
