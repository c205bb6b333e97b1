//! The worker that runs a command for each item.

use std::error::Error;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Seek, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use procstate::{WorkContext, WorkResult, Worker};
use serde_json::json;

use super::args;
use super::child::{End, Launcher, Stream, Supervisor, Urgency, memory_file};
use super::interrupts::Interrupts;
use super::output::capture::Capture;
use super::output::joblog::{self, JobLog};
use super::output::log_files::LogFiles;
use super::output::report::{Ended, Report};
use super::pace::Pace;
use super::template::{self, Template};
use crate::failure::chain;
use crate::input::duration;
use crate::input::names;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Runs the command for an item.
pub(super) struct Job {
    pub(super) process: String,
    pub(super) template: Template,
    pub(super) stdin: args::Stdin,
    pub(super) once: bool,
    pub(super) retries: u32,
    pub(super) timeout: Option<Duration>,
    pub(super) launcher: Launcher,
    pub(super) pace: Pace,
    pub(super) halt: Halt,
    pub(super) report: Arc<Report>,
    pub(super) logs: Option<LogFiles>,
    pub(super) joblog: Option<JobLog>,
    pub(super) interrupts: Interrupts,
    /// The number of commands started.
    pub(super) started: AtomicU64,
}

/// When failures stop the commands of other items.
pub(super) struct Halt {
    /// The number of failed items above which they stop; `None`: never.
    pub(super) limit: Option<u64>,
    pub(super) failed: AtomicU64,
    pub(super) is_on: AtomicBool,
}

impl Halt {
    pub(super) fn new(limit: Option<u64>) -> Self {
        Self { limit, failed: AtomicU64::new(0), is_on: AtomicBool::new(false) }
    }

    fn note_failure(&self) {
        let failed = self.failed.fetch_add(1, Ordering::SeqCst) + 1;
        if self.limit.is_some_and(|limit| failed > limit) {
            self.is_on.store(true, Ordering::SeqCst);
        }
    }

    fn urgency(&self) -> Urgency {
        if self.is_on.load(Ordering::SeqCst) { Urgency::Stop } else { Urgency::GoOn }
    }
}

impl Worker for Job {
    fn process(&self, work: &mut WorkContext) -> WorkResult {
        if self.once {
            work.drop_when_done();
        }
        let name = work.name().to_owned();
        let begun = Instant::now();
        let result = self.attempt(work, &name);
        let error = result.as_ref().err().map(|error| chain(error.as_ref()));
        let is_retried = error.is_some() && work.attempt() <= self.retries && !self.is_stopping(work);
        if error.is_some() && !is_retried {
            self.halt.note_failure();
        }
        self.report.ended(&Ended {
            work: &name,
            attempt: work.attempt(),
            error: error.as_deref(),
            took: begun.elapsed(),
            is_retried,
        });
        result
    }
}

impl Job {
    fn is_stopping(&self, work: &WorkContext) -> bool {
        self.interrupts.any() || self.halt.urgency() > Urgency::GoOn || work.should_stop()
    }

    fn attempt(&self, work: &mut WorkContext, name: &str) -> Result<()> {
        self.pace.wait(&mut || {
            let _ = work.progress()?;
            Ok(self.is_stopping(work))
        })?;
        self.report.begun(name, work.attempt());
        let words = self.words(work)?;
        let number = self.started.fetch_add(1, Ordering::Relaxed) + 1;
        let (mut command, sent) = self.command(work, &words)?;
        let logs = self.logs.as_ref().map(|logs| logs.begin(name)).transpose();
        let logs = logs.map_err(|error| format!("could not create its logs: {error}"))?;
        let capture = Capture::new(&self.report, name, logs);
        let mut watch = Watch { job: self, work, capture, failure: None };
        let (began, clock) = (SystemTime::now(), Instant::now());
        let (end, status) = self
            .launcher
            .run(&mut command, number, &mut watch)
            .map_err(|error| format!("could not run {:?}: {error}", command.get_program()))?;
        let Watch { mut capture, failure, .. } = watch;
        let said = capture.end();
        if let Some(joblog) = &self.joblog {
            let (took, received) = (clock.elapsed(), capture.received);
            joblog
                .write(&joblog::Job { number, began, took, sent, received, status, words: &words })
                .map_err(|error| format!("could not write the job log: {error}"))?;
        }
        work.add_stat(&format!("exit.{}", status.map_or("none".to_owned(), exit_label)), 1.0);
        if let Some(failure) = failure {
            return Err(failure.into());
        }
        self.judge(end, status, &said?)
    }

    fn judge(&self, end: End, status: Option<ExitStatus>, said: &str) -> Result<()> {
        match (end, status) {
            (End::TimedOut, _) => {
                let timeout = self.timeout.unwrap_or_default();
                Err(format!("timed out after {}", duration::format(timeout)).into())
            }
            (End::Stopped, _) => Err("stopped".into()),
            (End::Exited, Some(status)) if status.success() => Ok(()),
            (End::Exited, Some(status)) if said.is_empty() => Err(describe(status).into()),
            (End::Exited, Some(status)) => Err(format!("{}: {said}", describe(status)).into()),
            (End::Exited, None) => Err("its exit status is unknown".into()),
        }
    }

    fn words(&self, work: &WorkContext) -> Result<Vec<OsString>> {
        let values = template::values(&work.settings(), &work.params());
        Ok(self.template.words(&names::to_os_string(work.name()), &values)?)
    }

    /// Returns the command, and the size of its standard input.
    fn command(&self, work: &WorkContext, words: &[OsString]) -> Result<(Command, u64)> {
        let (program, arguments) = words.split_first().ok_or("no command was given")?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("PROCSTATE_PROCESS", without_nul(&self.process))
            .env("PROCSTATE_WORK", names::to_os_string(&without_nul(work.name())))
            .env("PROCSTATE_ATTEMPT", work.attempt().to_string());
        let params = work.params();
        let ints = params.int_params.iter().map(|(name, value)| ("INT", name, value.to_string()));
        let strings = params.string_params.iter().map(|(name, value)| ("STR", name, value.clone()));
        for (kind, name, value) in ints.chain(strings).filter(|(_, name, value)| is_env(name, value)) {
            command.env(format!("PROCSTATE_{kind}_{name}"), value);
        }
        let mut sent = 0;
        match self.stdin {
            args::Stdin::None => command.stdin(Stdio::null()),
            args::Stdin::Json => {
                let text = self.stdin_json(work);
                sent = u64::try_from(text.len()).unwrap_or_default();
                command.stdin(file_with(&text).map_err(|error| format!("no file for its input: {error}"))?)
            }
        };
        Ok((command, sent))
    }

    fn stdin_json(&self, work: &WorkContext) -> String {
        let params = work.params();
        // Integers are strings, as in protobuf JSON: not every reader has 64 bits.
        let ints: serde_json::Map<_, _> =
            params.int_params.iter().map(|(name, value)| (name.clone(), value.to_string().into())).collect();
        let item = json!({
            "process": self.process,
            "work": work.name(),
            "attempt": work.attempt(),
            "intParams": ints,
            "stringParams": params.string_params,
        });
        format!("{item}\n")
    }
}

/// Writes a file, because a pipe would have to be written while the command runs.
fn file_with(text: &str) -> std::io::Result<File> {
    let mut file = memory_file()?;
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file)
}

/// Supervises a running command.
struct Watch<'a> {
    job: &'a Job,
    work: &'a mut WorkContext,
    capture: Capture<'a>,
    /// The error of writing to the store.
    failure: Option<procstate::Error>,
}

impl Supervisor for Watch<'_> {
    fn output(&mut self, stream: Stream, bytes: &[u8]) {
        self.capture.take(stream, bytes);
    }

    fn must_stop(&mut self) -> Urgency {
        if let Err(error) = self.work.progress() {
            self.failure.get_or_insert(error);
        }
        let is_over = self.failure.is_some() || self.work.should_stop();
        let by_store = if is_over { Urgency::Stop } else { Urgency::GoOn };
        by_store.max(self.job.halt.urgency()).max(self.job.interrupts.urgency())
    }
}

fn without_nul(text: &str) -> String {
    text.replace('\0', "")
}

/// Reports whether an environment can contain it.
fn is_env(name: &str, value: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !value.contains('\0')
}

fn exit_label(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => code.to_string(),
        (None, Some(signal)) => format!("signal{signal}"),
        (None, None) => "unknown".to_owned(),
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "ended for an unknown reason".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_go_into_the_environment() {
        assert!(is_env("keysPerAccount", "8"));
        for (name, value) in [("", "1"), ("a.b", "1"), ("a=b", "1"), ("a", "x\0y")] {
            assert!(!is_env(name, value), "{name:?}");
        }
    }

    #[test]
    fn one_failure_too_many_halts() {
        let halt = Halt::new(Some(1));
        halt.note_failure();
        assert_eq!(halt.urgency(), Urgency::GoOn);
        halt.note_failure();
        assert_eq!(halt.urgency(), Urgency::Stop);
        let never = Halt::new(None);
        (0..100).for_each(|_| never.note_failure());
        assert_eq!(never.urgency(), Urgency::GoOn);
    }
}
