//! What facts come to.

use super::facts::{Facts, Soundness};
use crate::engine::durable::options::Recovery;
use crate::engine::durable::wal::{Broken, Harmless, LogDamage, LogEnd, Survey};
use crate::record::Position;

/// What a store opens to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Or why it does not.
    pub(crate) opens: Result<Opening, Refusal>,
    /// The commit up to which the index has everything, or why opening does not take it.
    pub(crate) index: Result<u64, IndexFault>,
    /// Whether the index could be rebuilt from the newest snapshot and the log behind it.
    pub(crate) copies: Result<(), CopiesFault>,
}

/// How a store opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opening {
    pub(crate) base: Base,
    /// The commit up to which that has everything.
    pub(crate) applied: u64,
    /// Where the log goes on; `None` where another is begun.
    pub(crate) log: Option<LogEnd>,
    /// What it lacks of what the store held. Only where the log may be cut.
    pub(crate) lost: Option<LogFault>,
    /// What is wrong with the log, and takes nothing.
    pub(crate) damaged_log: Option<LogWear>,
    /// What is wrong with the newest snapshot.
    pub(crate) damaged_snapshot: Option<String>,
    /// What is wrong with the note of what is synced.
    pub(crate) damaged_synced: Option<String>,
}

impl Opening {
    /// The newest commit that the store has then.
    pub(crate) fn last_seq(&self) -> u64 {
        self.log.as_ref().map_or(self.applied, |end| end.last_seq)
    }
}

/// What the log is read over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base {
    Index,
    /// An index that is rebuilt from the newest snapshot, or from nothing.
    Rebuilt,
}

/// Why a store does not open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    Manifest(String),
    Log {
        fault: LogFault,
        /// The commit up to which the index has everything.
        applied: u64,
    },
    /// Neither of the two copies will do.
    NoCopy {
        index: IndexFault,
        copies: CopiesFault,
    },
}

/// Why an index is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IndexFault {
    Damaged(String),
    RolledBack { seq: u64, held: u64 },
    OtherHistory { seq: u64 },
}

/// Why snapshot and log cannot stand in for the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CopiesFault {
    Snapshot(String),
    Log(LogFault),
}

/// Why a log does not have what it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LogFault {
    /// Its files are not one log.
    Files(String),
    Gone,
    Damaged(LogDamage),
    EndsEarly {
        last: u64,
        held: u64,
        by: Witness,
    },
    OtherHistory {
        seq: u64,
        by: Witness,
    },
}

/// Who knows of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Witness {
    Manifest,
    Synced,
    Snapshot,
    Index,
}

/// What is wrong with a log of which nothing is needed that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LogWear {
    Here(Vec<Harmless>),
    /// It would not do without the index.
    NoCopy(LogFault),
}

/// What the store opens to, by these facts.
pub(crate) fn judge(facts: &Facts, recovery: Recovery) -> Verdict {
    let index = judge_index(facts);
    let applied = index.as_ref().ok().copied();
    let log_copy = judge_log(facts, facts.snapshot_seq(), applied, true);
    let damaged_snapshot = snapshot_fault(facts);
    let copies = match &damaged_snapshot {
        Some(why) => Err(CopiesFault::Snapshot(why.clone())),
        None => log_copy.clone().map(drop).map_err(CopiesFault::Log),
    };
    let opens = match (&facts.manifest, &index, &copies) {
        (Err(why), ..) => Err(Refusal::Manifest(why.clone())),
        (_, Ok(applied), _) => open(facts, Base::Index, *applied, recovery),
        (_, Err(fault), Err(copies)) if !may_be_cut(copies, recovery) => {
            Err(Refusal::NoCopy { index: fault.clone(), copies: copies.clone() })
        }
        (_, Err(_), _) => open(facts, Base::Rebuilt, facts.snapshot_seq(), recovery),
    };
    let opens = opens.map(|opening| Opening {
        damaged_log: damaged_log(facts, &opening, &log_copy),
        damaged_snapshot,
        damaged_synced: facts.damaged_synced.clone(),
        ..opening
    });
    Verdict { opens, index, copies }
}

pub(super) fn judge_index(facts: &Facts) -> Result<u64, IndexFault> {
    let noted = facts.noted();
    let held = noted.map(|noted| noted.seq).max(facts.snapshot().map(|newest| newest.position.seq));
    // Its creation was interrupted: it is created again.
    let Some(held) = held else { return Ok(facts.index.as_ref().map_or(0, |index| index.seq)) };
    let index = facts.index.clone().map_err(IndexFault::Damaged)?;
    if is_of_other_history(facts, index) {
        return Err(IndexFault::OtherHistory { seq: index.seq });
    }
    if index.seq < held {
        return Err(IndexFault::RolledBack { seq: index.seq, held });
    }
    Ok(index.seq)
}

/// Whether something that has everything up to a commit is of another history than whatever
/// else knows of that commit.
pub(super) fn is_of_other_history(facts: &Facts, found: Position) -> bool {
    // A log that others contradict says nothing against it.
    let log = facts.log.as_ref().ok().filter(|log| other_history(facts, log).is_none());
    let in_log = log.and_then(|log| log.position(found.seq));
    let others = [facts.noted(), facts.synced, in_log].into_iter().flatten();
    others.into_iter().any(|other| other.seq == found.seq && found.contradicts(other.epoch))
}

/// Where the log ends for whoever has a snapshot and no index.
pub(crate) fn judge_restoring(facts: &Facts) -> Result<Option<LogEnd>, LogFault> {
    let must_have_log = facts.manifest.as_ref().is_ok_and(|noted| noted.must_have_log);
    judge_log(facts, facts.snapshot_seq(), None, must_have_log)
}

/// Where the log ends for whoever has everything up to the commit `known`. It must lead to
/// all that others know of; to what the `index` has, unless that is what it is read over.
fn judge_log(
    facts: &Facts,
    known: u64,
    index: Option<u64>,
    is_needed: bool,
) -> Result<Option<LogEnd>, LogFault> {
    let log = facts.log.as_ref().map_err(|why| LogFault::Files(why.clone()))?;
    if let Some((by, seq)) = other_history(facts, log) {
        return Err(LogFault::OtherHistory { seq, by });
    }
    let Some(end) = log.end_behind(known).map_err(LogFault::Damaged)? else {
        let is_missed = is_needed || facts.synced.is_some_and(|synced| known < synced.seq);
        return if is_missed { Err(LogFault::Gone) } else { Ok(None) };
    };
    let index = index.map(|seq| (Witness::Index, Position::new(seq, None)));
    let newest = witnesses(facts).into_iter().chain(index).max_by_key(|(_, seen)| seen.seq);
    match newest.filter(|(_, seen)| end.last_seq < seen.seq) {
        Some((by, seen)) => Err(LogFault::EndsEarly { last: end.last_seq, held: seen.seq, by }),
        None => Ok(Some(end)),
    }
}

/// What stands outside of the log and says what it must have.
pub(super) fn witnesses(facts: &Facts) -> Vec<(Witness, Position)> {
    let noted = facts.noted().map(|noted| (Witness::Manifest, noted));
    let synced = facts.synced.map(|synced| (Witness::Synced, synced));
    let snapshot = facts.snapshot().map(|newest| (Witness::Snapshot, newest.position));
    [noted, synced, snapshot].into_iter().flatten().collect()
}

/// Who says of which commit that it was written by another opening than the log says.
pub(crate) fn other_history(facts: &Facts, log: &Survey) -> Option<(Witness, u64)> {
    let contradicts = |(_, seen): &(Witness, Position)| {
        log.position(seen.seq).is_some_and(|found| seen.contradicts(found.epoch))
    };
    let contradicted = witnesses(facts).into_iter().chain(own_index(facts)).find(contradicts);
    contradicted.map(|(by, seen)| (by, seen.seq)).or_else(|| unknown_opening(facts, log))
}

/// The index, if it ends in a commit of an opening that the store is known to have had: then
/// it cannot be the one that was put in place of the store's own.
fn own_index(facts: &Facts) -> Option<(Witness, Position)> {
    let index = facts.index.clone().ok()?;
    let is_own = index.epoch.is_some_and(|epoch| facts.openings.contains(&epoch));
    is_own.then_some((Witness::Index, index))
}

/// The newest commit of the log, if nobody knows of the opening that wrote it: each opening
/// notes itself before its first commit.
fn unknown_opening(facts: &Facts, log: &Survey) -> Option<(Witness, u64)> {
    let run = log.runs.last()?;
    let epoch = log.position(run.last)?.epoch?;
    let seen = witnesses(facts).into_iter().filter_map(|(_, seen)| seen.epoch);
    let is_known =
        facts.openings.is_empty() || facts.openings.iter().copied().chain(seen).any(|own| own == epoch);
    let by = if facts.synced.is_some() { Witness::Synced } else { Witness::Manifest };
    (!is_known).then_some((by, run.last))
}

fn open(facts: &Facts, base: Base, applied: u64, recovery: Recovery) -> Result<Opening, Refusal> {
    let must_have_log = facts.manifest.as_ref().is_ok_and(|noted| noted.must_have_log);
    let (log, lost) = match judge_log(facts, applied, None, must_have_log) {
        Ok(end) => (end, None),
        Err(fault) if fault.may_be_cut(recovery) => {
            let log = facts.log.as_ref().ok().and_then(|log| log.end_before_damage(applied));
            (log, Some(fault))
        }
        Err(fault) => return Err(Refusal::Log { fault, applied }),
    };
    Ok(Opening { base, applied, log, lost, damaged_log: None, damaged_snapshot: None, damaged_synced: None })
}

impl LogFault {
    /// Whether going on without what is missing mends it.
    fn may_be_cut(&self, recovery: Recovery) -> bool {
        let is_of_use = match self {
            Self::Files(_) | Self::OtherHistory { .. } => false,
            Self::Damaged(damage) => !matches!(damage.why, Broken::Unreadable(_)),
            Self::Gone | Self::EndsEarly { .. } => true,
        };
        recovery == Recovery::CutLog && is_of_use
    }
}

fn may_be_cut(copies: &CopiesFault, recovery: Recovery) -> bool {
    matches!(copies, CopiesFault::Log(fault) if fault.may_be_cut(recovery))
}

/// What is wrong with the log for whoever would rebuild the index, if that was looked at.
fn damaged_log(
    facts: &Facts,
    opening: &Opening,
    log_copy: &Result<Option<LogEnd>, LogFault>,
) -> Option<LogWear> {
    let end = opening.log.as_ref()?;
    let is_read = facts.log.as_ref().is_ok_and(|log| log.from <= facts.snapshot_seq());
    let here = |end: &LogEnd| (!end.harmless.is_empty()).then(|| LogWear::Here(end.harmless.clone()));
    here(end).or_else(|| match log_copy {
        _ if !is_read => None,
        Ok(copy) => copy.as_ref().and_then(here),
        Err(fault) => Some(LogWear::NoCopy(fault.clone())),
    })
}

/// Why the newest snapshot is of no use.
fn snapshot_fault(facts: &Facts) -> Option<String> {
    let newest = facts.snapshot()?;
    match &newest.soundness {
        Soundness::Damaged(why) => Some(why.clone()),
        Soundness::Sound | Soundness::Unread => {
            let seq = newest.position.seq;
            is_of_other_history(facts, newest.position).then(|| IndexFault::OtherHistory { seq }.to_string())
        }
    }
}
