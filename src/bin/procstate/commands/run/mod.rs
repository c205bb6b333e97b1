//! Running a command for each work item.
//!
//! A [`Job`] is the worker: it fills in the words of a [`template`], and has a
//! [`child`] run them under its eyes. What the command writes goes through a
//! [`capture`] to the [`report`] and into files.

pub(crate) mod args;
mod capture;
pub(crate) mod child;
mod dry_run;
mod interrupts;
mod job;
mod joblog;
pub(crate) mod log_files;
mod pace;
mod report;
mod schedule;
mod template;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use procstate::proto::{State, Status};
use procstate::{Clock, FailureLimit, Outcome, ProcessHandle, Retry, Runner, Store, SystemClock, Timestamp};

use args::{Halt, Run};
use child::{Launcher, Reaper, Times};
use interrupts::Interrupts;
use job::Job;
use joblog::JobLog;
use log_files::LogFiles;
use report::Report;
use template::Template;

use crate::failure::{Failure, Found, chain};
use crate::open;
use crate::output::{Output, count, say};

/// No program but this one has the store open: nobody waits for a sign of life.
const NEVER: Duration = Duration::from_secs(u32::MAX as u64);

/// How much longer than a command itself its worker takes to stop.
const STOP_SLACK: Duration = Duration::from_secs(30);

/// How often is looked whether a store that is in use is free.
const LOCK_INTERVAL: Duration = Duration::from_millis(100);

/// How long after a failure a program that stays tries again.
const TROUBLE_WAIT: Duration = Duration::from_secs(30);

/// How often a program that stays looks at the clock.
const CLOCK_INTERVAL: Duration = Duration::from_secs(10);

/// The setting that pauses a process.
const PAUSED: &str = "flow.paused";

pub(crate) fn run(db: &Path, args: &Run, output: &mut Output) -> Result<Found, Failure> {
    begin(db, args, output).map_err(|failure| match failure {
        // Here 1 says that items failed.
        Failure::Absent(text) => Failure::Failed(text),
        other => other,
    })
}

fn begin(db: &Path, args: &Run, output: &mut Output) -> Result<Found, Failure> {
    if args.when.dry_run {
        return dry_run::print(db, args, output);
    }
    if let Some(nice) = args.pace.nice {
        // Of this thread and those that it starts, and so of the commands.
        rustix::process::nice(nice)
            .map_err(|error| Failure::Failed(format!("could not change the niceness by {nice}: {error}")))?;
    }
    let session = Session {
        db,
        args,
        is_json: output.is_json(),
        interrupts: Interrupts::install()?,
        reaper: Reaper::new(),
    };
    match (&args.when.cron, args.when.every) {
        (None, None) => session.once(),
        _ => session.stay(),
    }
}

/// One call of the command, with one run or many.
struct Session<'a> {
    db: &'a Path,
    args: &'a Run,
    is_json: bool,
    interrupts: Interrupts,
    reaper: Reaper,
}

/// What came of looking whether there is something to run.
enum Pass {
    Ran(Found),
    /// No run is due before this time.
    NotDue(Timestamp),
    /// The process is paused, or held by somebody else.
    NotNow,
}

impl Session<'_> {
    fn once(&self) -> Result<Found, Failure> {
        let is_for_cron = self.args.when.if_due;
        let Some(store) = self.open(self.args.when.wait)? else {
            return if self.interrupts.any() { Ok(Found::Interrupted) } else { Ok(Found::AllWell) };
        };
        let process = store.process(&self.args.name)?;
        if let Some(paused) = paused(&process)? {
            return if is_for_cron { Ok(Found::AllWell) } else { Err(paused) };
        }
        match self.pass(&store, &process, !is_for_cron)? {
            Pass::Ran(found) => store.close().map(|()| found).map_err(Failure::from),
            Pass::NotDue(_) | Pass::NotNow => Ok(Found::AllWell),
        }
    }

    /// Opens the store, and waits while another program has it open. `None`: it has, and
    /// that is no failure.
    fn open(&self, wait: Option<Duration>) -> Result<Option<Store>, Failure> {
        let until = wait.and_then(|wait| Instant::now().checked_add(wait));
        loop {
            let error = match open::existing(self.db) {
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

    /// Stays, and runs on schedule. The store is open only during a run.
    fn stay(&self) -> Result<Found, Failure> {
        let mut is_first = true;
        let mut planned: Option<Timestamp> = None;
        loop {
            let next = match self.look(is_first, planned) {
                Ok(next) => next,
                // A store that is not there at the beginning will not come.
                Err(failure) if is_first => return Err(failure),
                Err(failure) => {
                    say(&format!("procstate: {failure}; trying again in {}s", TROUBLE_WAIT.as_secs()));
                    Next::In(TROUBLE_WAIT)
                }
            };
            is_first = false;
            let is_interrupted = match next {
                Next::End(found) => return Ok(found),
                Next::In(wait) => self.interrupts.sleep(wait),
                Next::At(at) => {
                    planned = Some(at);
                    self.sleep_until(at)
                }
            };
            if is_interrupted {
                return Ok(Found::AllWell);
            }
        }
    }

    /// Looks at the clock now and then: it may be set, or the system sleep.
    fn sleep_until(&self, at: Timestamp) -> bool {
        loop {
            let left = schedule::time_until(at);
            if self.interrupts.sleep(left.min(CLOCK_INTERVAL)) {
                return true;
            }
            if left <= CLOCK_INTERVAL {
                return false;
            }
        }
    }

    /// Runs if it is time to, and says when it is the next time.
    fn look(&self, is_first: bool, planned: Option<Timestamp>) -> Result<Next, Failure> {
        let Some(store) = self.open(Some(NEVER))? else { return Ok(Next::End(Found::AllWell)) };
        let process = store.process(&self.args.name)?;
        if let Some(every) = self.args.when.every.filter(|_| is_first) {
            // It would create a process that is not there, and stay with nothing to do.
            process.settings()?;
            process.set_schedule(Some(every))?;
        }
        let now = SystemClock::new().now();
        let is_time = match &self.args.when.cron {
            None => true,
            // What was left unfinished goes on at once.
            Some(_) if is_first => process.summary()?.state == State::Active,
            Some(_) => planned.is_none_or(|planned| planned <= now),
        };
        let pass = if !is_time || paused(&process)?.is_some() {
            Pass::NotNow
        } else {
            self.pass(&store, &process, self.args.when.cron.is_some())?
        };
        store.close()?;
        if self.interrupts.any() {
            return Ok(Next::End(if let Pass::Ran(found) = pass { found } else { Found::AllWell }));
        }
        Ok(match (&self.args.when.cron, pass) {
            (Some(crontab), _) => Next::At(schedule::next(crontab, SystemClock::new().now())?),
            (None, Pass::NotDue(at)) => Next::At(at),
            // The next look tells when the next run is due.
            (None, Pass::Ran(_)) => Next::In(Duration::from_secs(1)),
            (None, Pass::NotNow) => Next::In(TROUBLE_WAIT),
        })
    }

    /// One run, if one is due or `now` is true.
    fn pass(&self, store: &Store, process: &ProcessHandle, now: bool) -> Result<Pass, Failure> {
        let args = self.args;
        self.note_logs(process)?;
        let extent = extent(process, args.when.failed)?;
        let (total, _) = extent;
        let report = Arc::new(Report::new(&args.records, self.is_json, extent, self.interrupts.clone()));
        let times = Times { timeout: args.failures.timeout, kill_after: args.failures.kill_after };
        let launcher = Launcher::new(self.reaper.clone(), times).map_err(|error| {
            Failure::Failed(format!(
                "could not start the program that stops commands if this one is killed: {error}"
            ))
        })?;
        let runner = Runner::builder(store, &args.name)
            .label("procstate-run")
            .concurrency(jobs(args))
            .retry(Retry::attempts(args.failures.retries + 1))
            .heartbeat_timeout(NEVER)
            .stop_grace(args.failures.kill_after.saturating_add(STOP_SLACK))
            .max_failed_items(args.failures.max_errors)
            .skip_completed(args.when.failed)
            .worker(self.job(report.clone(), launcher, total)?)
            .build()?;
        self.interrupts.stop_with(runner.stopper());
        let outcome = if now { runner.run_now() } else { runner.run_once() };
        self.interrupts.end_of_run();
        // A worker that was left behind still has the launcher, and a command that hangs: the
        // watchdog stops that when this program ends.
        drop(runner);
        conclude(&report, outcome?)
    }

    fn job(&self, report: Arc<Report>, launcher: Launcher, total: u64) -> Result<Job, Failure> {
        let args = self.args;
        let records = &args.records;
        let joblog =
            records.joblog.as_deref().map(|path| JobLog::open(path).map_err(|error| unusable(path, &error)));
        let logs = records.logs.as_deref().map(|folder| {
            let logs = LogFiles::new(folder, &args.name, records.log_max);
            logs.create_folder().map(|()| logs).map_err(|error| unusable(folder, &error))
        });
        let limit = match (args.failures.halt, args.failures.max_errors) {
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

    /// Has the process know where its logs are.
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

/// How many commands run at once: as many as somebody wants, if the system lets so many.
fn jobs(args: &Run) -> usize {
    // Two pipes, the command itself, and what is open for a moment now and then.
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

/// When there is something to do again.
enum Next {
    End(Found),
    In(Duration),
    At(Timestamp),
}

fn in_use(error: &procstate::Error, wait: Option<Duration>) -> String {
    let advice = match wait {
        None => "--wait waits until it is free".to_owned(),
        Some(wait) => format!("waited for {}", crate::duration::format(wait)),
    };
    format!("{}; {advice}", chain(error))
}

fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Failed(format!("could not use {}: {error}", path.display()))
}

/// Why nothing is run while a process is paused: nobody else can change that as long as
/// this program has the store open.
fn paused(process: &ProcessHandle) -> Result<Option<Failure>, Failure> {
    let is_paused = process.settings()?.params.get_int(PAUSED).is_some_and(|paused| paused != 0);
    Ok(is_paused.then(|| {
        let name = process.name();
        let quoted = shlex::try_quote(name).map_or_else(|_| name.into(), |quoted| quoted.into_owned());
        Failure::Failed(format!(
            "process {name:?} is paused by its setting {PAUSED}, and nothing was run; go on with: procstate settings {quoted} --int {PAUSED}=0"
        ))
    }))
}

/// How many items a run has to do, and how many of them it has done before it was
/// interrupted.
fn extent(process: &ProcessHandle, only_failed: bool) -> Result<(u64, u64), Failure> {
    let summary = process.summary()?;
    if summary.state == State::Active {
        let done = summary.ended.saturating_sub(summary.failed);
        return Ok((summary.active.max(done), done));
    }
    if !only_failed {
        return Ok((summary.active, 0));
    }
    let (mut to_do, mut after) = (0, None);
    loop {
        let page = process.list(procstate::List::Active, after.as_deref(), 1000)?;
        let is_completed = |item: &procstate::Item| {
            let status = item.work.as_ref().and_then(|work| work.status.as_ref());
            status.is_some_and(|status| status.state() == State::Completed)
        };
        to_do += page.items.iter().filter(|item| !is_completed(item)).count();
        after = page.next;
        if after.is_none() {
            return Ok((u64::try_from(to_do).unwrap_or_default(), 0));
        }
    }
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
                State::Completed => ("completed".to_owned(), Found::AllWell),
                State::Aborted => (why_aborted(&status), Found::Limit),
                _ => ("incomplete".to_owned(), Found::Something),
            };
            report.summary(&how, Some(&status));
            Pass::Ran(found)
        }
        Outcome::HandedBack | Outcome::Stopped => {
            report.summary("stopped before the end; the same command goes on from here", None);
            Pass::Ran(Found::Interrupted)
        }
        Outcome::NotDue { at } => Pass::NotDue(at),
        Outcome::Held { .. } => Pass::NotNow,
        other => return Err(Failure::Failed(format!("the run did not come to its end: {other:?}"))),
    })
}

fn why_aborted(status: &Status) -> String {
    status.errors.last().map_or_else(|| "aborted".to_owned(), |error| error.text.clone())
}
