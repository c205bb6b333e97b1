//! What a store may hold after a power cut, judged by what the victim was told.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::mount::Event;
use super::script::{Plan, Script, State, Wrote};
use super::victim::{self, Line, Told};

/// How long a buffered write may go without its sync beyond the interval: what a
/// sync takes, and what a busy machine takes away.
const ALLOWANCE: Duration = Duration::from_millis(150);
/// A longer pause between two calls of the victim is the machine's: it does not
/// count.
const PAUSE_MAX: Duration = Duration::from_millis(20);

/// For each thread a number of steps: those before it.
pub type Steps = Vec<u64>;

/// What must have survived, step by step.
#[derive(Debug)]
pub struct Promises {
    /// At least so many steps of each thread.
    pub kept: Steps,
    /// All that were begun.
    pub begun: Steps,
    /// For each step of each thread, what was acknowledged when it began: it is
    /// not there without them.
    before: Vec<Vec<Steps>>,
}

/// How long ago each moment was by the file system's own record.
struct Age<'a> {
    events: &'a [Event],
    /// For each event, the time from it to the cut, pauses shortened.
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
    /// A step is promised if it was acknowledged and is `Synced`, or old, or was
    /// acknowledged before a `Synced` one began: what is durable has no holes.
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
    /// What survives a kill while the power stays on: all that was acknowledged.
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

    /// Whether any step is promised.
    pub fn are_any(&self) -> bool {
        self.kept.iter().any(|kept| *kept > 0)
    }
}

/// A state that a store may be in, and after how many steps.
struct Candidate {
    steps: u64,
    state: State,
}

/// Takes the victim's steps again, with the store in `folder` that it began with.
/// Answers for each thread the states from `from` steps on.
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

/// What a check found out.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Steps that were acknowledged, buffered, and lost, as they may be.
    pub lost: u64,
}

/// Holds what was found after the cut against every state that may be. `before`
/// gives a copy of the store that the victim began with.
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

/// A step that is there implies those that were acknowledged before it began.
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

/// In words, how a state differs from the first and the last it might be.
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
