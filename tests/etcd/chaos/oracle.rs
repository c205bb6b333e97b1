//! Compares what landed with the results that the programs got.

use std::collections::{BTreeMap, BTreeSet};

use super::events::{Event, Line};
use super::landed::{Kind, Put};
use super::program::{CLAIMED, COUNTERS, ITEMS};

/// The event log of each program, by its name.
pub type EventLogs = BTreeMap<String, Vec<Line>>;

/// Descriptions of the violations.
pub type Findings = Vec<String>;

/// Checks all guarantees.
pub fn judge(event_logs: &EventLogs, landed: &[Put]) -> Findings {
    let mut findings = Findings::new();
    for (name, lines) in event_logs {
        counts(name, lines, landed, &mut findings);
        claims(name, lines, landed, &mut findings);
    }
    one_owner(event_logs, &mut findings);
    let history = History::of(landed);
    history.fence(&mut findings);
    history.no_write_twice(&mut findings);
    history.totals(&mut findings);
    for lines in event_logs.values() {
        history.accepted(lines, &mut findings);
    }
    items(event_logs, &history, &mut findings);
    findings
}

/// Checks that each value of a counter landed once and in order, and that no accepted value is
/// missing.
fn counts(name: &str, lines: &[Line], landed: &[Put], findings: &mut Findings) {
    let values: Vec<u64> = landed
        .iter()
        .filter(|put| put.is(Kind::Active, COUNTERS, name))
        .filter_map(|put| put.int("n"))
        .collect();
    if let Some(at) = values.iter().zip(1..).position(|(value, expected)| *value != expected) {
        findings.push(format!("{name}: the counter had the values {:?}", &values[at.saturating_sub(2)..=at]));
    }
    let last = values.last().copied().unwrap_or_default();
    let (mut accepted, mut in_doubt, mut refused) = (0, None, None);
    for line in lines {
        match line.event {
            Event::CountTry { to } => in_doubt = Some(to),
            Event::Counted { to, changed } => {
                if !changed && refused == Some(to) {
                    findings.push(format!("{name}: {to} was refused, but landed"));
                }
                (accepted, in_doubt, refused) = (to, None, None);
            }
            Event::CountFailed { to, surely: true } => refused = Some(to),
            Event::Begin { counter } => {
                if counter < accepted || (refused == Some(counter) && counter > accepted) {
                    findings.push(format!(
                        "{name}: the counter is {counter}; {accepted} was accepted, {refused:?} was refused"
                    ));
                }
                accepted = counter;
            }
            _ => {}
        }
    }
    if last != accepted && Some(last) != in_doubt {
        findings.push(format!(
            "{name}: the counter is {last}; {accepted} was accepted, {in_doubt:?} is in doubt"
        ));
    }
}

/// Checks that the program whose claim landed got `Won` or no result, and that no other got `Won`.
fn claims(name: &str, lines: &[Line], landed: &[Put], findings: &mut Findings) {
    let owners: Vec<&Put> = landed.iter().filter(|put| put.is(Kind::Owner, CLAIMED, "")).collect();
    let mut claim: Option<&str> = None;
    for line in lines {
        let landed_as =
            || owners.iter().find(|put| claim.is_some_and(|id| put.mentions(id))).map(|put| put.revision);
        match &line.event {
            Event::ClaimTry { instance } => claim = Some(instance),
            Event::Won { token } if landed_as() != Some(*token) => {
                findings.push(format!(
                    "{name}: won {CLAIMED} with {token}, but its claim landed as {:?}",
                    landed_as()
                ));
            }
            Event::ClaimRefused | Event::ClaimFailed { surely: true } if landed_as().is_some() => {
                findings.push(format!(
                    "{name}: a claim landed as {:?}, but was reported as refused",
                    landed_as()
                ));
            }
            _ => {}
        }
    }
}

/// Checks that no program was certain to be the owner while or after a later owner was.
fn one_owner(event_logs: &EventLogs, findings: &mut Findings) {
    let mut times: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for line in event_logs.values().flatten() {
        if let Event::Sure { token } = line.event {
            let (first, last) = times.entry(token).or_insert((line.at, line.at));
            (*first, *last) = ((*first).min(line.at), (*last).max(line.at));
        }
    }
    let spans: Vec<(u64, (u64, u64))> = times.into_iter().collect();
    for pair in spans.windows(2) {
        if let [(earlier, (_, last)), (later, (first, _))] = pair
            && last >= first
        {
            findings.push(format!("{earlier} was certain at {last}, and {later} at {first}"));
        }
    }
}

/// The records of the claimed process, as they landed.
struct History<'a> {
    owners: Vec<u64>,
    statuses: Vec<&'a Put>,
    totals: Vec<&'a Put>,
}

impl<'a> History<'a> {
    fn of(landed: &'a [Put]) -> Self {
        let all = |kind| landed.iter().filter(move |put: &&Put| put.is(kind, CLAIMED, ""));
        Self {
            owners: all(Kind::Owner).map(|put| put.revision).collect(),
            statuses: all(Kind::Status).collect(),
            totals: all(Kind::Totals).collect(),
        }
    }

    /// Returns the owner as of a revision, which may itself be the claim.
    fn owner_at(&self, revision: u64) -> Option<u64> {
        self.owners.iter().rev().find(|owner| **owner <= revision).copied()
    }

    /// Returns the writes of runs, without those of claims, which write the status of the previous
    /// run.
    fn of_runs(&self) -> impl Iterator<Item = (&'a Put, u64)> {
        let by_runs = self.statuses.iter().filter(|put| !self.owners.contains(&put.revision));
        by_runs.filter_map(|put| Some((*put, put.stat("token")?)))
    }

    /// Checks that only the current owner's writes landed.
    fn fence(&self, findings: &mut Findings) {
        for (put, token) in self.of_runs() {
            let owner = self.owner_at(put.revision);
            if owner != Some(token) {
                findings.push(format!(
                    "revision {} is a write of {token}, but the owner is {owner:?}",
                    put.revision
                ));
            }
        }
    }

    /// Checks that no write landed twice. Each write of a run contains its time, so two writes have
    /// the same bytes only if they are the same write.
    fn no_write_twice(&self, findings: &mut Findings) {
        for pair in self.statuses.windows(2) {
            if pair[0].value == pair[1].value {
                findings.push(format!(
                    "revisions {} and {} are the same write",
                    pair[0].revision, pair[1].revision
                ));
            }
        }
    }

    /// Checks that the totals include the end of each run once.
    fn totals(&self, findings: &mut Findings) {
        let (mut runs, mut steps) = (0, 0);
        for put in &self.totals {
            let status = self.statuses.iter().find(|status| status.revision == put.revision);
            let of_run = status.and_then(|status| status.stat("work.n")).unwrap_or_default();
            (runs, steps) = (runs + 1, steps + of_run);
            let found = (put.stat("runs"), put.stat("work.n").unwrap_or_default());
            if found != (Some(runs), steps) {
                findings.push(format!(
                    "revision {}: totals {found:?} after {runs} runs and {steps} steps",
                    put.revision
                ));
            }
        }
    }

    /// Checks that every acknowledged write landed.
    fn accepted(&self, lines: &[Line], findings: &mut Findings) {
        let steps: BTreeSet<(u64, u64)> =
            self.of_runs().filter_map(|(put, token)| Some((token, put.stat("work.n")?))).collect();
        let ends: BTreeSet<u64> = self.totals.iter().filter_map(|put| self.owner_at(put.revision)).collect();
        for line in lines {
            match line.event {
                Event::Stepped { token, steps: n } if !steps.contains(&(token, n)) => {
                    findings.push(format!("step {n} of {token} was accepted, but is lost"));
                }
                Event::Finished { token, .. } if !ends.contains(&token) => {
                    findings.push(format!("the end of {token} was accepted, but is lost"));
                }
                _ => {}
            }
        }
    }

    /// Returns the run that a token belongs to, as the number of runs that ended before it.
    fn run_of(&self, token: u64) -> usize {
        self.totals.iter().filter(|put| put.revision < token).count()
    }
}

/// Checks that no item is done twice within a run, and that a completed run has done all items.
fn items(event_logs: &EventLogs, history: &History<'_>, findings: &mut Findings) {
    let mut lines: Vec<&Line> = event_logs.values().flatten().collect();
    lines.sort_by_key(|line| line.at);
    let mut done: BTreeSet<(usize, &str)> = BTreeSet::new();
    let mut tried: BTreeSet<(usize, &str)> = BTreeSet::new();
    // A former owner may try again after it was stopped, but must be refused.
    let mut again: BTreeMap<u64, &str> = BTreeMap::new();
    for line in lines {
        match &line.event {
            Event::StepTry { token, item } if done.contains(&(history.run_of(*token), item)) => {
                again.insert(*token, item);
            }
            Event::Stepped { token, .. } => {
                if let Some(item) = again.remove(token) {
                    findings.push(format!("{token} did {item} again"));
                }
            }
            Event::DoneTry { token, item } => drop(tried.insert((history.run_of(*token), item))),
            Event::Done { token, item } => drop(done.insert((history.run_of(*token), item))),
            Event::Finished { token, completed: true, .. } => {
                let run = history.run_of(*token);
                let left: Vec<&str> =
                    ITEMS.into_iter().filter(|item| !tried.contains(&(run, *item))).collect();
                if !left.is_empty() {
                    findings.push(format!("{token} completed its run without {left:?}"));
                }
            }
            _ => {}
        }
    }
}
