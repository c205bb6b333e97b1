//! Running a command for each work item.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use procstate::proto::{State, Status};
use procstate::{Outcome, Retry, Runner, Shutdown, Stopper, WorkContext, WorkResult, Worker};

use crate::args::Run;
use crate::failure::{Failure, Found, chain};
use crate::open;
use crate::output::{say, stderr_is_terminal};

/// How much of a command's standard error is kept with a failed item: its last
/// lines, and of those what fits into the text of an error.
const TAIL_LINES_MAX: usize = 10;
const TAIL_CHARS_MAX: usize = 300;

/// How often a running command is looked at.
const POLL: Duration = Duration::from_millis(20);

/// No program but this one has the store open: nobody waits for a sign of life.
const NEVER: Duration = Duration::from_secs(u32::MAX as u64);

pub(crate) fn run(db: &Path, args: &Run) -> Result<Found, Failure> {
    let store = open::for_changing(db)?;
    let total = store.process(&args.name)?.summary()?.active;
    let report = Report::new(total);
    let interrupts = Arc::new(AtomicU32::new(0));
    let job = Job {
        process: args.name.clone(),
        command: args.command.clone(),
        once: args.once,
        report: report.clone(),
        interrupts: interrupts.clone(),
    };
    let mut builder = Runner::builder(&store, &args.name)
        .label("procstate-run")
        .concurrency(args.jobs.into())
        .retry(Retry::attempts(args.retries + 1))
        .heartbeat_timeout(NEVER)
        .worker(job);
    if let Some(timeout) = args.timeout {
        builder = builder.item_timeout(timeout);
    }
    let runner = builder.build()?;
    stop_on_signals(runner.stopper(), interrupts)?;
    let outcome = runner.run_now()?;
    drop(runner);
    report.end();
    store.close()?;
    conclude(outcome)
}

fn conclude(outcome: Outcome) -> Result<Found, Failure> {
    match outcome {
        Outcome::Finished(status) => {
            say(&summary(&status));
            let completed = status.state() == State::Completed;
            Ok(if completed { Found::AllWell } else { Found::Something })
        }
        Outcome::HandedBack | Outcome::Stopped => {
            say("stopped before the end; the same command goes on from here");
            Ok(Found::Something)
        }
        other => Err(Failure::Failed(format!("the run did not come to its end: {other:?}"))),
    }
}

fn summary(status: &Status) -> String {
    let stat = |label: &str| status.stats.get(label).copied().unwrap_or_default();
    let failed = stat("workItemsDirty") + stat("workItemsAborted");
    let how = match status.state() {
        State::Aborted => "aborted by too many errors",
        State::Completed => "completed",
        _ => "incomplete",
    };
    format!("{how}: {} items, {failed} of them failed, {} errors", stat("workItems"), status.total_errors)
}

/// The first signal stops after the items in hand, the second stops those too, the
/// third ends the program.
fn stop_on_signals(stopper: Stopper, interrupts: Arc<AtomicU32>) -> Result<(), Failure> {
    let on_signal = move || {
        match interrupts.fetch_add(1, Ordering::SeqCst) {
            0 => say("stopping after the items in hand; once more to stop them"),
            1 => say("stopping the items in hand"),
            _ => std::process::exit(2),
        }
        stopper.stop(Shutdown::HandBack);
    };
    ctrlc::set_handler(on_signal).map_err(|error| Failure::failed(&error))
}

/// What is done for each item.
struct Job {
    process: String,
    command: Vec<String>,
    once: bool,
    report: Report,
    interrupts: Arc<AtomicU32>,
}

impl Worker for Job {
    fn process(&self, work: &mut WorkContext) -> WorkResult {
        if self.once {
            work.drop_when_done();
        }
        let started = Instant::now();
        let result = self.run_command(work);
        let how = match &result {
            Ok(()) => "completed".to_owned(),
            Err(error) => format!("failed, {}", chain(error.as_ref())),
        };
        self.report.ended(&format!("{}: {how} ({:.1}s)", work.name(), started.elapsed().as_secs_f64()));
        result
    }
}

impl Job {
    fn run_command(&self, work: &mut WorkContext) -> WorkResult {
        let mut child = self.spawn(work)?;
        let tail = child.stderr.take().map(|stderr| keep_tail(stderr, self.report.clone()));
        let status = self.wait(&mut child, work);
        let tail = tail.and_then(|tail| tail.join().ok()).unwrap_or_default();
        let status = status?;
        work.add_stat(&format!("exit.{}", exit_label(status)), 1.0);
        if status.success() {
            return Ok(());
        }
        Err(failure_text(status, &Vec::from(tail).join("\n")).into())
    }

    fn spawn(&self, work: &WorkContext) -> Result<Child, Box<dyn std::error::Error + Send + Sync>> {
        let words = substitute(&self.command, work.name());
        let (program, arguments) = words.split_first().ok_or("no command was given")?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("PROCSTATE_PROCESS", self.process.replace('\0', ""))
            .env("PROCSTATE_WORK", work.name().replace('\0', ""))
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            // Not stopped by what the terminal sends to this program.
            .process_group(0);
        let params = work.params();
        let ints = params.int_params.iter().map(|(name, value)| ("INT", name, value.to_string()));
        let strings = params.string_params.iter().map(|(name, value)| ("STR", name, value.clone()));
        for (kind, name, value) in ints.chain(strings).filter(|(_, name, value)| is_env(name, value)) {
            command.env(format!("PROCSTATE_{kind}_{name}"), value);
        }
        command.spawn().map_err(|error| format!("could not start {program:?}: {error}").into())
    }

    fn wait(
        &self,
        child: &mut Child,
        work: &mut WorkContext,
    ) -> Result<ExitStatus, Box<dyn std::error::Error + Send + Sync>> {
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if work.should_stop() || self.interrupts.load(Ordering::SeqCst) > 1 {
                child.kill()?;
                child.wait()?;
                return Err("stopped".into());
            }
            let _ = work.progress()?;
            std::thread::sleep(POLL);
        }
    }
}

/// The command for one item: its name in place of every `{}`, or at the end.
fn substitute(command: &[String], name: &str) -> Vec<String> {
    let mut words: Vec<String> = command.iter().map(|word| word.replace("{}", name)).collect();
    if !command.iter().any(|word| word.contains("{}")) {
        words.push(name.to_owned());
    }
    words
}

/// Whether an environment can hold it.
fn is_env(name: &str, value: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !value.contains('\0')
}

/// The outcome of a failed item: how it ended, and the end of what it said.
fn failure_text(status: ExitStatus, said: &str) -> String {
    let skipped = said.chars().count().saturating_sub(TAIL_CHARS_MAX);
    let end: String = said.chars().skip(skipped).collect();
    let dots = if skipped > 0 { "..." } else { "" };
    if end.is_empty() { describe(status) } else { format!("{}: {dots}{end}", describe(status)) }
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

/// Passes a command's standard error on, and keeps its last lines.
fn keep_tail(stderr: ChildStderr, report: Report) -> JoinHandle<VecDeque<String>> {
    std::thread::spawn(move || {
        let mut tail = VecDeque::new();
        let mut reader = BufReader::new(stderr);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            report.pass_on(&line);
            if tail.len() == TAIL_LINES_MAX {
                tail.pop_front();
            }
            tail.push_back(String::from_utf8_lossy(&line).trim_end().to_owned());
            line.clear();
        }
        tail
    })
}

/// Tells how far the run is: a bar on a terminal, lines elsewhere.
#[derive(Clone)]
struct Report {
    bar: Option<ProgressBar>,
}

impl Report {
    fn new(total: u64) -> Self {
        let bar = stderr_is_terminal().then(|| {
            let style =
                ProgressStyle::with_template("{bar:30} {pos} of {len} items, {elapsed} so far, {eta} to go");
            ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar }
    }

    fn ended(&self, line: &str) {
        match &self.bar {
            None => say(line),
            Some(bar) => {
                bar.println(line);
                bar.inc(1);
            }
        }
    }

    fn pass_on(&self, line: &[u8]) {
        let write = || {
            let _ = std::io::stderr().write_all(line);
        };
        match &self.bar {
            None => write(),
            Some(bar) => bar.suspend(write),
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_stands_for_braces_or_at_the_end() {
        let words = |command: &[&str]| {
            let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
            substitute(&command, "a b")
        };
        assert_eq!(words(&["echo", "x{}y", "{}"]), ["echo", "xa by", "a b"]);
        assert_eq!(words(&["echo"]), ["echo", "a b"]);
    }

    #[test]
    fn only_plain_names_go_into_the_environment() {
        assert!(is_env("keysPerAccount", "8"));
        for (name, value) in [("", "1"), ("a.b", "1"), ("a=b", "1"), ("a", "x\0y")] {
            assert!(!is_env(name, value), "{name:?}");
        }
    }
}
