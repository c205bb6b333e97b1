//! Judges a store after a power cut by what the victim was told.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::mount::Event;
use super::script::{Plan, Script, State, Wrote};
use super::victim::{self, Line, Told};

/// How much longer than the interval a buffered write may stay unsynced: the duration of a sync,
/// and delays of a busy machine.
const ALLOWANCE: Duration = Duration::from_millis(150);
/// The limit of a pause between two calls of the victim; longer ones are caused by the machine and
/// do not count.
const PAUSE_MAX: Duration = Duration::from_millis(20);

/// A number of steps per thread.
pub type Steps = Vec<u64>;

/// Which steps must have survived.
#[derive(Debug)]
pub struct Promises {
    /// The promised number of steps of each thread.
    pub kept: Steps,
    /// The steps begun.
    pub begun: Steps,
    /// For each step of each thread, the steps acknowledged before it began; they must be present if
    /// it is.
    before: Vec<Vec<Steps>>,
}

/// The age of each event at the cut, according to the file system's record.
struct Age<'a> {
    events: &'a [Event],
    /// For each event, the time from it to the cut, with long pauses shortened.
    to_cut: Vec<u64>,
}

impl<'a> Age<'a> {
    fn new(events: &'a [Event]) -> Self {
        let mut to_cut = vec![0; events.len()];
        for at in (0..events.len().saturating_sub(1)).rev() {
            let pause = events[at + 1].nanos.saturating_sub(events[at].nanos);
            to_cut[at] = to_cut[at + 1] + pause.min(PAUSE_MAX.as_nanos() as u64);
        }
        Self { events, to_cut }
    }

    fn of(&self, nanos: u64) -> Duration {
        let next = self.events.partition_point(|event| event.nanos < nanos);
        Duration::from_nanos(self.to_cut.get(next).copied().unwrap_or_default())
    }
}

impl Promises {
    /// A step is promised if it was acknowledged and is `Synced`, or is old, or was acknowledged
    /// before a `Synced` one began: durable history has no holes.
    pub fn new(plan: Plan, interval: Duration, told: &Told, events: &[Event]) -> Self {
        let mut kept = vec![0; plan.threads];
        let mut acknowledged = vec![0; plan.threads];
        let mut before: Vec<Vec<Steps>> = vec![Vec::new(); plan.threads + 1];
        let age = Age::new(events);
        for line in &told.lines {
            match *line {
                Line::Intends { thread, .. } => before[thread].push(acknowledged.clone()),
                Line::Acknowledges { thread, n, wrote, nanos, .. } => {
                    let is_old =
                        wrote == Wrote::Buffered && age.of(nanos) > interval.saturating_add(ALLOWANCE);
                    if wrote == Wrote::Synced || is_old {
                        for (kept, before) in kept.iter_mut().zip(&before[thread][n as usize]) {
                            *kept = (*kept).max(*before);
                        }
                    }
                    if thread < plan.threads {
                        acknowledged[thread] = n + 1;
                        if wrote == Wrote::Synced || is_old {
                            kept[thread] = n + 1;
                        }
                    }
                }
            }
        }
        let begun = (0..plan.threads).map(|thread| told.begun(thread)).collect();
        Self { kept, begun, before }
    }
}

impl Promises {
    /// Returns the promises after a kill without a power cut: everything acknowledged.
    pub fn of_kill(plan: Plan, told: &Told) -> Self {
        let mut promises = Self::new(plan, Duration::MAX, told, &[]);
        for line in &told.lines {
            if let Line::Acknowledges { thread, n, .. } = *line
                && thread < plan.threads
            {
                promises.kept[thread] = n + 1;
            }
        }
        promises
    }

    /// Reports whether any step is promised.
    pub fn are_any(&self) -> bool {
        self.kept.iter().any(|kept| *kept > 0)
    }
}

/// A possible state of the store, and the number of steps that led to it.
struct Candidate {
    steps: u64,
    state: State,
}

/// Replays the victim's steps on the store in `folder` that it started with; returns the states of
/// each thread from `from` steps on.
fn replay(folder: &Path, plan: Plan, told: &Told, from: &[u64]) -> procstate::Result<Vec<Vec<Candidate>>> {
    let mut store = victim::open(plan, folder)?;
    let mut scripts: Vec<Script> =
        (0..plan.threads).map(|thread| Script::new(plan, thread, &store)).collect();
    let mut candidates: Vec<Vec<Candidate>> = (0..plan.threads).map(|_| Vec::new()).collect();
    for (thread, candidates) in candidates.iter_mut().enumerate().filter(|(thread, _)| from[*thread] == 0) {
        candidates.push(Candidate { steps: 0, state: State::read(&store, thread)? });
    }
    for phase in 1.. {
        for (thread, script) in scripts.iter_mut().enumerate() {
            let until = told.begun(thread).min(plan.steps_per_phase().saturating_mul(phase));
            while script.steps() < until {
                let step = script.step()?;
                if script.steps() < from[thread] {
                    continue;
                }
                let state = State::read(&store, thread)?;
                let candidates = &mut candidates[thread];
                if let Some(before) = candidates.last().filter(|_| step.is_purge) {
                    let half = State::half_purged(&before.state, &state);
                    candidates.push(Candidate { steps: before.steps, state: half });
                }
                candidates.push(Candidate { steps: script.steps(), state });
            }
        }
        if told.begun(plan.threads) <= phase {
            return Ok(candidates);
        }
        store.close()?;
        store = victim::open(plan, folder)?;
        scripts.iter_mut().for_each(|script| script.reopened(&store));
    }
    Ok(candidates)
}

/// The result of a check.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Acknowledged buffered steps that were lost, as permitted.
    pub lost: u64,
}

/// Compares the store found after the cut with every permitted state.
///
/// `before` returns a copy of the store at the victim's start.
pub fn judge(
    found: &[State],
    before: &dyn Fn() -> PathBuf,
    plan: Plan,
    told: &Told,
    promises: &Promises,
) -> Result<Verdict, String> {
    let states = |from: &[u64]| {
        let said = |error: procstate::Error| format!("taking the steps again: {error}");
        replay(&before(), plan, told, from).map_err(said)
    };
    let candidates = states(&promises.kept)?;
    let mut fits = Vec::new();
    for (thread, (found, candidates)) in found.iter().zip(&candidates).enumerate() {
        let mut steps =
            candidates.iter().filter(|candidate| candidate.state == *found).map(|candidate| candidate.steps);
        let Some(first) = steps.next() else {
            let all = states(&vec![0; plan.threads])?;
            let earlier = all[thread].iter().rev().find(|candidate| candidate.state == *found);
            return Err(describe(thread, earlier, found, candidates, promises));
        };
        fits.push((first, steps.next_back().unwrap_or(first)));
    }
    check_holes(&fits, promises)?;
    let mut verdict = Verdict::default();
    for line in &told.lines {
        if let Line::Acknowledges { thread, n, wrote: Wrote::Buffered, .. } = line
            && *n >= fits[*thread].1
        {
            verdict.lost += 1;
        }
    }
    Ok(verdict)
}

/// A step that is present implies those acknowledged before it began.
fn check_holes(fits: &[(u64, u64)], promises: &Promises) -> Result<(), String> {
    for (thread, (first, _)) in fits.iter().enumerate().filter(|(_, (first, _))| *first > 0) {
        let before = &promises.before[thread][*first as usize - 1];
        for (other, ((_, last), needed)) in fits.iter().zip(before).enumerate() {
            if last < needed {
                return Err(format!(
                    "a hole: thread {thread} has its step {}, and thread {other} has lost its step {}, which was acknowledged before the former began",
                    first - 1,
                    needed - 1,
                ));
            }
        }
    }
    Ok(())
}

fn describe(
    thread: usize,
    earlier: Option<&Candidate>,
    found: &State,
    candidates: &[Candidate],
    promises: &Promises,
) -> String {
    let (kept, begun) = (promises.kept[thread], promises.begun[thread]);
    match earlier {
        Some(earlier) => {
            format!("thread {thread} is back after {} steps; {kept} were promised, of {begun}", earlier.steps)
        }
        None => format!(
            "thread {thread} finds a state that it was in after none of its {begun} steps; {kept} were promised:\n{}",
            differences(found, candidates)
        ),
    }
}

/// Describes how a state differs from the first and the last permitted one.
fn differences(found: &State, candidates: &[Candidate]) -> String {
    let ends = [candidates.first(), candidates.last()];
    let described = ends.into_iter().flatten().map(|candidate| {
        format!("  from that after {} steps in: {}", candidate.steps, difference(found, &candidate.state))
    });
    described.collect::<Vec<_>>().join("\n")
}

fn difference(found: &State, other: &State) -> String {
    let mut words = Vec::new();
    if found.runs != other.runs {
        words.push(format!("{} past runs instead of {}", found.runs.len(), other.runs.len()));
    }
    for (what, found, other) in
        [("", &found.work, &other.work), ("imported ", &found.imported, &other.imported)]
    {
        let (Some(found), Some(other)) = (found, other) else {
            if found.is_some() != other.is_some() {
                words
                    .push(format!("the {what}process is {}there", if found.is_some() { "" } else { "not " }));
            }
            continue;
        };
        if found.instance != other.instance {
            words.push(format!("{what}owner {:?} instead of {:?}", found.instance, other.instance));
        }
        if found.process_status != other.process_status {
            words.push(format!("{what}status"));
        }
        if (&found.settings, &found.settings_time) != (&other.settings, &other.settings_time) {
            words.push(format!("{what}settings"));
        }
        if found.aggregate_stats != other.aggregate_stats {
            words.push(format!("{what}totals"));
        }
        for name in found.active_work.keys().chain(other.active_work.keys()) {
            if found.active_work.get(name) != other.active_work.get(name) {
                words.push(format!("{what}active {name}"));
            }
        }
        if found.cleanup_work != other.cleanup_work {
            words.push(format!("{what}cleanup list"));
        }
        if found.dropped_work != other.dropped_work {
            words.push(format!("{what}dropped list"));
        }
    }
    words.dedup();
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}
