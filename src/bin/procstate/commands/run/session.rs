//! A single run of the command.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use procstate::proto::{State, Status};
use procstate::{FailureLimit, Outcome, ProcessHandle, Retry, Runner, Store, Timestamp};

use super::args::{Halt, Run};
use super::child::{Launcher, Reaper, Times};
use super::extent::extent;
use super::interrupts::Interrupts;
use super::job::{self, Job};
use super::output::joblog::JobLog;
use super::output::log_files::{self, LogFiles};
use super::output::report::Report;
use super::pace;
use super::template::Template;
use crate::commands::serve;
use crate::failure::{CommandStatus, Failure, chain};
use crate::open::{self, Location};
use crate::terminal::output::{count, say};

pub(super) const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);

/// The time that a worker needs beyond its command to stop.
const STOP_SLACK: Duration = Duration::from_secs(30);

/// How long other commands may have the store open before `run` gives up without `--wait`.
const BRIEFLY: Duration = Duration::from_secs(3);

/// The polling interval while another program has the store open.
const LOCK_INTERVAL: Duration = Duration::from_millis(100);

/// The setting that pauses a process.
const PAUSED: &str = "flow.paused";

/// An invocation of the tool, with one run or many.
pub(super) struct Session<'a> {
    pub(super) place: &'a Location,
    pub(super) args: &'a Run,
    pub(super) is_json: bool,
    pub(super) interrupts: Interrupts,
    pub(super) reaper: Reaper,
}

/// The result of a check for something to run.
pub(super) enum Pass {
    Ran(CommandStatus),
    /// No run is due before this time.
    NotDue(Timestamp),
    /// The process is paused, or another instance holds it.
    NotNow,
}

impl Session<'_> {
    pub(super) fn once(&self) -> Result<CommandStatus, Failure> {
        let is_for_cron = self.args.when.if_due;
        let Some(store) = self.open(self.args.when.wait)? else {
            return if self.interrupts.any() {
                Ok(CommandStatus::Interrupted)
            } else {
                Ok(CommandStatus::Success)
            };
        };
        let server = serve::beside(&store);
        let process = store.process(&self.args.name)?;
        if let Some(paused) = paused(&process)? {
            return if is_for_cron { Ok(CommandStatus::Success) } else { Err(paused) };
        }
        let pass = self.pass(&store, &process, !is_for_cron);
        drop(server);
        match pass? {
            Pass::Ran(found) => store.close().map(|()| found).map_err(Failure::from),
            Pass::NotDue(_) | Pass::NotNow => Ok(CommandStatus::Success),
        }
    }

    /// Opens the store, waiting while another program has it open; `None` if it still does, which
    /// is not an error.
    pub(super) fn open(&self, wait: Option<Duration>) -> Result<Option<Store>, Failure> {
        let until = Instant::now().checked_add(wait.unwrap_or(BRIEFLY));
        loop {
            let error = match open::to_have(self.place) {
                Ok(store) => return Ok(Some(store)),
                Err(error) if error.is_locked() => error,
                Err(error) => return Err(Failure::failed(&error)),
            };
            if until.is_some_and(|until| Instant::now() < until) {
                if self.interrupts.sleep(LOCK_INTERVAL) {
                    return Ok(None);
                }
                continue;
            }
            return if self.args.when.if_due { Ok(None) } else { Err(Failure::Failed(in_use(&error, wait))) };
        }
    }

    /// Makes a run if one is due or `now` is set.
    pub(super) fn pass(&self, store: &Store, process: &ProcessHandle, now: bool) -> Result<Pass, Failure> {
        let args = self.args;
        self.note_logs(process)?;
        let extent = extent(process, args.when.failed)?;
        let (total, _) = extent;
        let max_errors = match args.failures.max_errors {
            Some(limit) => limit,
            None => process.settings()?.max_failed_items.unwrap_or_default(),
        };
        let report = Arc::new(Report::new(&args.records, self.is_json, extent, self.interrupts.clone()));
        let times = Times { timeout: args.failures.timeout, kill_after: args.failures.kill_after };
        let launcher = Launcher::new(self.reaper.clone(), times).map_err(|error| {
            Failure::Failed(format!(
                "could not start the program that stops commands if this one is killed: {error}"
            ))
        })?;
        let runner = Runner::builder(store, &args.name).label("procstate-run").concurrency(jobs(args));
        let runner = if self.place.is_shared() {
            // A command cannot send heartbeats, so the runner does. The command's timeout is
            // enforced here.
            runner.beat_by_itself(true).item_timeout(FOREVER)
        } else {
            // No other program has the store open, so no claimer waits for heartbeats.
            runner.heartbeat_timeout(FOREVER)
        };
        let runner = runner
            .retry(Retry::attempts(args.failures.retries + 1))
            .stop_grace(args.failures.kill_after.saturating_add(STOP_SLACK))
            .max_failed_items(max_errors)
            .skip_completed(args.when.failed)
            .worker(self.job(report.clone(), launcher, (max_errors, total))?)
            .build()?;
        self.interrupts.stop_with(runner.stopper());
        let outcome = if now { runner.run_now() } else { runner.run_once() };
        self.interrupts.end_of_run();
        // An abandoned worker still holds the launcher and a hanging command, which the watchdog
        // stops when this program ends.
        drop(runner);
        conclude(&report, outcome?)
    }

    fn job(
        &self,
        report: Arc<Report>,
        launcher: Launcher,
        (max_errors, total): (FailureLimit, u64),
    ) -> Result<Job, Failure> {
        let args = self.args;
        let records = &args.records;
        let joblog =
            records.joblog.as_deref().map(|path| JobLog::open(path).map_err(|error| unusable(path, &error)));
        let logs = records.logs.as_deref().map(|folder| {
            let logs = LogFiles::new(folder, &args.name, records.log_max);
            logs.create_folder().map(|()| logs).map_err(|error| unusable(folder, &error))
        });
        let limit = match (args.failures.halt, max_errors) {
            (Halt::Now, FailureLimit::Items(items)) => Some(items),
            (Halt::Now, FailureLimit::Share(share)) => Some(share_of(share, total)),
            _ => None,
        };
        Ok(Job {
            process: args.name.clone(),
            template: Template::new(&args.command, args.input.replace.as_deref()),
            stdin: args.input.stdin,
            once: args.when.once,
            retries: args.failures.retries,
            timeout: args.failures.timeout,
            launcher,
            pace: pace::Pace::new(args.pace.delay, args.pace.max_load),
            halt: job::Halt::new(limit),
            report,
            logs: logs.transpose()?,
            joblog: joblog.transpose()?,
            interrupts: self.interrupts.clone(),
            started: AtomicU64::new(0),
        })
    }

    /// Stores the path of the logs in the process.
    fn note_logs(&self, process: &ProcessHandle) -> Result<(), Failure> {
        let Some(folder) = &self.args.records.logs else { return Ok(()) };
        let absolute = std::path::absolute(folder).map_err(|error| unusable(folder, &error))?;
        let text = absolute.to_str().ok_or_else(|| {
            Failure::Failed(format!("the name of {} is not UTF-8: name another folder", folder.display()))
        })?;
        if process.settings()?.params.get_string(log_files::SETTING) != Some(text) {
            process.update_params(|params| {
                params.string_params.insert(log_files::SETTING.to_owned(), text.to_owned());
            })?;
        }
        Ok(())
    }
}

/// Returns how many commands run at once: as requested, within the system's limits.
fn jobs(args: &Run) -> usize {
    // Two pipes, the command itself, and temporary files.
    let files = 4 + if args.records.logs.is_some() { 2 } else { 0 };
    let (wanted, max) = (usize::from(args.pace.jobs), pace::jobs_max(files));
    let jobs = usize::try_from(max).unwrap_or(usize::MAX).min(wanted);
    if jobs < wanted {
        say(&format!(
            "no more than {} at once: this program may not open more files; `ulimit -n` raises that",
            count(jobs, "command")
        ));
    }
    jobs
}

fn in_use(error: &procstate::Error, wait: Option<Duration>) -> String {
    let advice = match wait {
        None => "--wait waits until it is free".to_owned(),
        Some(wait) => format!("waited for {}", crate::input::duration::format(wait)),
    };
    format!("{}; {advice}", chain(error))
}

fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Failed(format!("could not use {}: {error}", path.display()))
}

/// Returns the error for a paused process.
pub(super) fn paused(process: &ProcessHandle) -> Result<Option<Failure>, Failure> {
    Ok(process.is_paused()?.then(|| {
        let name = process.name();
        let quoted = shlex::try_quote(name).map_or_else(|_| name.into(), |quoted| quoted.into_owned());
        Failure::Failed(format!(
            "process {name:?} is paused by its setting {PAUSED}, so nothing was run; resume it with: procstate settings {quoted} --int {PAUSED}=0"
        ))
    }))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count of items")]
#[allow(clippy::cast_precision_loss, reason = "a count of items is far below 2^52")]
fn share_of(share: f64, total: u64) -> u64 {
    (share * total as f64) as u64
}

fn conclude(report: &Report, outcome: Outcome) -> Result<Pass, Failure> {
    Ok(match outcome {
        Outcome::Finished(status) => {
            let (how, found) = match status.state() {
                State::Completed => ("completed".to_owned(), CommandStatus::Success),
                State::Aborted => (why_aborted(&status), CommandStatus::Limit),
                _ => ("incomplete".to_owned(), CommandStatus::Findings),
            };
            report.summary(&how, Some(&status));
            Pass::Ran(found)
        }
        Outcome::HandedBack | Outcome::Stopped => {
            report.summary("stopped early; run the same command again to continue", None);
            Pass::Ran(CommandStatus::Interrupted)
        }
        Outcome::NotDue { at } => Pass::NotDue(at),
        Outcome::Held { .. } => Pass::NotNow,
        other => return Err(Failure::Failed(format!("the run did not finish: {other:?}"))),
    })
}

fn why_aborted(status: &Status) -> String {
    status.errors.last().map_or_else(|| "aborted".to_owned(), |error| error.text.clone())
}
