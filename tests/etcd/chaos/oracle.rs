//! Holds what landed against what the programs were told.

use std::collections::{BTreeMap, BTreeSet};

use super::landed::{Kind, Put};
use super::program::{CLAIMED, COUNTERS, ITEMS};
use super::told::{Line, Told};

/// One program: its name, and all that it wrote down.
pub type Diaries = BTreeMap<String, Vec<Line>>;

/// What was found to be wrong.
pub type Findings = Vec<String>;

/// Everything that must hold.
pub fn judge(diaries: &Diaries, landed: &[Put]) -> Findings {
    let mut findings = Findings::new();
    for (name, lines) in diaries {
        counts(name, lines, landed, &mut findings);
        claims(name, lines, landed, &mut findings);
    }
    one_owner(diaries, &mut findings);
    let history = History::of(landed);
    history.fence(&mut findings);
    history.no_write_twice(&mut findings);
    history.totals(&mut findings);
    for lines in diaries.values() {
        history.accepted(lines, &mut findings);
    }
    items(diaries, &history, &mut findings);
    findings
}

/// Each value of a counter landed once, in order, and what was accepted is in.
fn counts(name: &str, lines: &[Line], landed: &[Put], findings: &mut Findings) {
    let values: Vec<u64> = landed
        .iter()
        .filter(|put| put.is(Kind::Active, COUNTERS, name))
        .filter_map(|put| put.int("n"))
        .collect();
    if let Some(at) = values.iter().zip(1..).position(|(value, expected)| *value != expected) {
        findings.push(format!("{name}: the counter went {:?}", &values[at.saturating_sub(2)..=at]));
    }
    let last = values.last().copied().unwrap_or_default();
    let (mut accepted, mut in_doubt, mut refused) = (0, None, None);
    for line in lines {
        match line.told {
            Told::CountTry { to } => in_doubt = Some(to),
            Told::Counted { to, changed } => {
                if !changed && refused == Some(to) {
                    findings.push(format!("{name}: {to} was refused, and landed"));
                }
                (accepted, in_doubt, refused) = (to, None, None);
            }
            Told::CountFailed { to, surely: true } => refused = Some(to),
            Told::Begin { counter } => {
                if counter < accepted || (refused == Some(counter) && counter > accepted) {
                    findings.push(format!(
                        "{name}: {counter} is there; {accepted} was accepted, {refused:?} refused"
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

/// Whose claim landed was told that it won, or nothing; and no other.
fn claims(name: &str, lines: &[Line], landed: &[Put], findings: &mut Findings) {
    let owners: Vec<&Put> = landed.iter().filter(|put| put.is(Kind::Owner, CLAIMED, "")).collect();
    let mut claim: Option<&str> = None;
    for line in lines {
        let landed_as =
            || owners.iter().find(|put| claim.is_some_and(|id| put.mentions(id))).map(|put| put.revision);
        match &line.told {
            Told::ClaimTry { instance } => claim = Some(instance),
            Told::Won { token } if landed_as() != Some(*token) => {
                findings.push(format!(
                    "{name}: was told to own {CLAIMED} by {token}; its claim is {:?}",
                    landed_as()
                ));
            }
            Told::ClaimRefused | Told::ClaimFailed { surely: true } if landed_as().is_some() => {
                findings
                    .push(format!("{name}: a claim landed as {:?} and was told to be refused", landed_as()));
            }
            _ => {}
        }
    }
}

/// Nobody was sure to be the owner while, or after, a later one was.
fn one_owner(diaries: &Diaries, findings: &mut Findings) {
    let mut times: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for line in diaries.values().flatten() {
        if let Told::Sure { token } = line.told {
            let (first, last) = times.entry(token).or_insert((line.at, line.at));
            (*first, *last) = ((*first).min(line.at), (*last).max(line.at));
        }
    }
    let spans: Vec<(u64, (u64, u64))> = times.into_iter().collect();
    for pair in spans.windows(2) {
        if let [(earlier, (_, last)), (later, (first, _))] = pair
            && last >= first
        {
            findings.push(format!("{earlier} was sure at {last}, and {later} at {first}"));
        }
    }
}

/// The records of the process that is claimed, as they landed.
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

    /// Who owns it at a revision, that one included.
    fn owner_at(&self, revision: u64) -> Option<u64> {
        self.owners.iter().rev().find(|owner| **owner <= revision).copied()
    }

    /// What a run wrote; not what claims did, who write the status of the run before.
    fn of_runs(&self) -> impl Iterator<Item = (&'a Put, u64)> {
        let by_runs = self.statuses.iter().filter(|put| !self.owners.contains(&put.revision));
        by_runs.filter_map(|put| Some((*put, put.stat("token")?)))
    }

    fn fence(&self, findings: &mut Findings) {
        for (put, token) in self.of_runs() {
            let owner = self.owner_at(put.revision);
            if owner != Some(token) {
                findings
                    .push(format!("revision {} is a write of {token}; the owner is {owner:?}", put.revision));
            }
        }
    }

    /// Each write of a run says when it was made: the same bytes twice are one write twice.
    fn no_write_twice(&self, findings: &mut Findings) {
        for pair in self.statuses.windows(2) {
            if pair[0].value == pair[1].value {
                findings
                    .push(format!("revisions {} and {} are one write", pair[0].revision, pair[1].revision));
            }
        }
    }

    /// Each end of a run is added once.
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

    /// Every write that was acknowledged is in.
    fn accepted(&self, lines: &[Line], findings: &mut Findings) {
        let steps: BTreeSet<(u64, u64)> =
            self.of_runs().filter_map(|(put, token)| Some((token, put.stat("work.n")?))).collect();
        let ends: BTreeSet<u64> = self.totals.iter().filter_map(|put| self.owner_at(put.revision)).collect();
        for line in lines {
            match line.told {
                Told::Stepped { token, steps: n } if !steps.contains(&(token, n)) => {
                    findings.push(format!("step {n} of {token} was accepted, and is lost"));
                }
                Told::Finished { token, .. } if !ends.contains(&token) => {
                    findings.push(format!("the end of {token} was accepted, and is lost"));
                }
                _ => {}
            }
        }
    }

    /// Which run, counted by the ends before it, a token is of.
    fn run_of(&self, token: u64) -> usize {
        self.totals.iter().filter(|put| put.revision < token).count()
    }
}

/// Within a run an item that is done is not done again, and a run that completed has done all.
fn items(diaries: &Diaries, history: &History<'_>, findings: &mut Findings) {
    let mut lines: Vec<&Line> = diaries.values().flatten().collect();
    lines.sort_by_key(|line| line.at);
    let mut done: BTreeSet<(usize, &str)> = BTreeSet::new();
    let mut tried: BTreeSet<(usize, &str)> = BTreeSet::new();
    // Whoever was stopped may try, and is refused.
    let mut again: BTreeMap<u64, &str> = BTreeMap::new();
    for line in lines {
        match &line.told {
            Told::StepTry { token, item } if done.contains(&(history.run_of(*token), item)) => {
                again.insert(*token, item);
            }
            Told::Stepped { token, .. } => {
                if let Some(item) = again.remove(token) {
                    findings.push(format!("{token} did {item} again, which was done"));
                }
            }
            Told::DoneTry { token, item } => drop(tried.insert((history.run_of(*token), item))),
            Told::Done { token, item } => drop(done.insert((history.run_of(*token), item))),
            Told::Finished { token, completed: true, .. } => {
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
