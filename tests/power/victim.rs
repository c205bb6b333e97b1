//! The program whose power is cut: it announces each step, does it, and acknowledges it before the
//! next one.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use procstate::Store;

use super::common;
use super::mount::now_nanos;
use super::script::{Plan, Script, Style, Wrote};

const FOLDER: &str = "PROCSTATE_POWER_FOLDER";
const PLAN: &str = "PROCSTATE_POWER_PLAN";

/// The body of the test `victim`, which does nothing unless started as one.
pub fn live() {
    let (Ok(folder), Ok(plan)) = (std::env::var(FOLDER), std::env::var(PLAN)) else { return };
    let plan = Plan::parse(&plan);
    let main = plan.threads;
    say(format_args!("i {main} 0"));
    let mut store = or_die(plan.builder().open(&folder));
    acknowledge(main, 0, Wrote::Synced, None);
    let mut scripts: Vec<Script> =
        (0..plan.threads).map(|thread| Script::new(plan, thread, &store)).collect();
    for phase in 1.. {
        std::thread::scope(|scope| {
            for (thread, script) in scripts.iter_mut().enumerate() {
                scope.spawn(move || live_phase(plan, thread, script));
            }
        });
        say(format_args!("i {main} {phase}"));
        or_die(store.close());
        store = or_die(plan.builder().open(&folder));
        acknowledge(main, phase, Wrote::Synced, None);
        scripts.iter_mut().for_each(|script| script.reopened(&store));
    }
}

fn live_phase(plan: Plan, thread: usize, script: &mut Script) {
    while plan.is_active(thread) {
        let n = script.steps();
        say(format_args!("i {thread} {n}"));
        let step = or_die(script.step());
        acknowledge(thread, n, step.wrote, step.token);
        if plan.style == Style::Buffered {
            std::thread::sleep(Duration::from_millis(2));
        }
        if script.is_phase_over() {
            return;
        }
    }
}

fn acknowledge(thread: usize, n: u64, wrote: Wrote, token: Option<u64>) {
    let wrote = match wrote {
        Wrote::Nothing => 0,
        Wrote::Buffered => 1,
        Wrote::Synced => 2,
    };
    say(format_args!("a {thread} {n} {wrote} {} {}", token.unwrap_or_default(), now_nanos()));
}

/// Prints one line with one write.
fn say(what: std::fmt::Arguments<'_>) {
    let _ = std::io::stdout().write_all(format!("\n@{what}\n").as_bytes());
}

/// Waits for the end after an error, unless the test program is dead.
fn or_die<T>(result: procstate::Result<T>) -> T {
    result.unwrap_or_else(|error| {
        say(format_args!("! {error}"));
        std::thread::sleep(Duration::from_secs(20));
        std::process::exit(1)
    })
}

/// A line of a victim's output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Line {
    /// Step `n` begins.
    Intends { thread: usize, n: u64 },
    /// The step is done.
    Acknowledges { thread: usize, n: u64, wrote: Wrote, token: Option<u64>, nanos: u64 },
}

/// The output of a victim.
#[derive(Debug, Default)]
pub struct Told {
    pub lines: Vec<Line>,
    /// Its first error.
    pub error: Option<String>,
    /// All of its output, including the test harness.
    pub text: String,
}

impl Told {
    fn parse(text: String) -> Self {
        let mut told = Self::default();
        let whole_lines = text.rsplit_once('\n').map_or("", |(lines, _)| lines);
        for line in whole_lines.lines().filter_map(|line| line.strip_prefix('@')) {
            let words: Vec<&str> = line.split(' ').collect();
            let number = |at: usize| words[at].parse::<u64>().unwrap();
            match words[0] {
                "!" => drop(told.error.get_or_insert_with(|| line[2..].to_owned())),
                "i" => told.lines.push(Line::Intends { thread: number(1) as usize, n: number(2) }),
                "a" => told.lines.push(Line::Acknowledges {
                    thread: number(1) as usize,
                    n: number(2),
                    wrote: [Wrote::Nothing, Wrote::Buffered, Wrote::Synced][number(3) as usize],
                    token: Some(number(4)).filter(|token| *token > 0),
                    nanos: number(5),
                }),
                _ => panic!("unexpected line {line:?}"),
            }
        }
        told.text = text;
        told
    }

    /// Returns the number of acknowledged steps.
    pub fn acknowledged(&self) -> u64 {
        self.lines.iter().filter(|line| matches!(line, Line::Acknowledges { .. })).count() as u64
    }

    /// Returns how many steps a thread has begun.
    pub fn begun(&self, of: usize) -> u64 {
        let begun =
            self.lines.iter().filter(|line| matches!(line, Line::Intends { thread, .. } if *thread == of));
        begun.count() as u64
    }
}

/// A running victim.
pub struct Victim {
    child: Child,
    reader: Option<JoinHandle<String>>,
    errors: Option<JoinHandle<String>>,
    has_failed: Arc<AtomicBool>,
}

impl Victim {
    pub fn start(folder: &Path, plan: Plan) -> Self {
        let mut child = common::victim(FOLDER, folder)
            .env(PLAN, plan.to_text())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let has_failed = Arc::new(AtomicBool::new(false));
        let flag = has_failed.clone();
        let reader = std::thread::spawn(move || read_all(stdout, &flag));
        let errors = std::thread::spawn(move || read_all(stderr, &AtomicBool::new(false)));
        Self { child, reader: Some(reader), errors: Some(errors), has_failed }
    }

    /// Reports whether it has ended, or met an error.
    pub fn is_over(&mut self) -> bool {
        self.has_failed.load(Ordering::Relaxed) || self.child.try_wait().unwrap().is_some()
    }

    /// Kills it; returns its output and its stderr.
    pub fn kill(mut self) -> (Told, String) {
        self.end();
        let text = self.reader.take().unwrap().join().unwrap();
        let errors = self.errors.take().unwrap().join().unwrap();
        (Told::parse(text), errors)
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.end();
    }
}

fn read_all(mut input: impl Read, has_failed: &AtomicBool) -> String {
    let mut text = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        match input.read(&mut buffer).unwrap() {
            0 => return String::from_utf8_lossy(&text).into_owned(),
            length => {
                let new = &buffer[..length];
                text.extend_from_slice(new);
                if new.windows(2).any(|pair| pair == b"@!") {
                    has_failed.store(true, Ordering::Relaxed);
                }
            }
        }
    }
}

/// Opens a store like a victim, and waits until it is verified.
pub fn open(plan: Plan, folder: &Path) -> procstate::Result<Store> {
    let store = plan.builder().open(folder)?;
    store.wait_until_verified()?;
    Ok(store)
}
