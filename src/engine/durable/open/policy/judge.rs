//! Decides what a store opens to, given the facts.

use super::facts::{Facts, Integrity};
use super::histories::foreign_commit;
use super::noted::{NotedIn, noted_commits, other_history, unknown_opening};
use crate::engine::durable::options::Recovery;
use crate::engine::durable::wal::{Broken, HarmlessDamage, LogDamage, LogEnd};
use crate::record::Position;

/// The decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// How the store opens, or why it does not.
    pub(crate) opens: Result<OpenPlan, Refusal>,
    /// The last commit in the index, or why opening does not use it.
    pub(crate) index: Result<u64, IndexFault>,
    /// Whether the index could be rebuilt from the newest snapshot and the log after it.
    pub(crate) copies: Result<(), CopiesFault>,
}

/// How a store opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenPlan {
    pub(crate) index: IndexSource,
    /// The last commit in that index.
    pub(crate) applied: u64,
    /// The end of the log to append to; `None` if a new log is started.
    pub(crate) log: Option<LogEnd>,
    /// The loss, if the log may be truncated.
    pub(crate) lost: Option<LogFault>,
    /// Damage of the log that loses nothing.
    pub(crate) damaged_log: Option<HarmlessLogFault>,
    /// Damage of the newest snapshot.
    pub(crate) damaged_snapshot: Option<String>,
    /// Damage of SYNCED.
    pub(crate) damaged_synced: Option<String>,
}

impl OpenPlan {
    /// Returns the newest commit of the store once it is open.
    pub(crate) fn last_seq(&self) -> u64 {
        self.log.as_ref().map_or(self.applied, |end| end.last_seq)
    }
}

/// The index that the log is replayed into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IndexSource {
    Existing,
    /// An index rebuilt from the newest snapshot, or from nothing.
    Rebuilt,
}

/// Why a store does not open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    Manifest(String),
    Log {
        fault: LogFault,
        /// The last commit in the index.
        applied: u64,
    },
    /// Neither the index nor snapshot and log are complete.
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

/// Why snapshot and log cannot replace the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CopiesFault {
    Snapshot(String),
    Log(LogFault),
}

/// Why a log is incomplete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LogFault {
    /// Its files are not one log.
    LogFiles(String),
    Gone,
    Damaged(LogDamage),
    EndsEarly {
        last: u64,
        held: u64,
        by: NotedIn,
    },
    OtherHistory {
        seq: u64,
        by: NotedIn,
    },
}

/// Damage of the log that loses nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HarmlessLogFault {
    Here(Vec<HarmlessDamage>),
    /// Only the index prevents a loss.
    NoCopy(LogFault),
}

/// Decides what the store opens to.
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
        (_, Ok(applied), _) => open(facts, IndexSource::Existing, *applied, recovery),
        (_, Err(fault), Err(copies)) if !may_be_cut(copies, recovery) => {
            Err(Refusal::NoCopy { index: fault.clone(), copies: copies.clone() })
        }
        (_, Err(_), _) => open(facts, IndexSource::Rebuilt, facts.snapshot_seq(), recovery),
    };
    let opens = opens.map(|opening| OpenPlan {
        damaged_log: damaged_log(facts, &opening, &log_copy),
        damaged_snapshot,
        damaged_synced: facts.damaged_synced.clone(),
        ..opening
    });
    Verdict { opens, index, copies }
}

pub(super) fn judge_index(facts: &Facts) -> Result<u64, IndexFault> {
    let noted = facts.noted_index();
    let held = noted.map(|noted| noted.seq).max(facts.snapshot().map(|newest| newest.position.seq));
    // Its creation was interrupted, and starts over.
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

/// Reports whether an index or snapshot that ends with the commit `found` comes from another copy
/// of the store, according to the other facts about that commit.
pub(super) fn is_of_other_history(facts: &Facts, found: Position) -> bool {
    // A log that contradicts other facts proves nothing.
    let log = facts.log.as_ref().ok().filter(|log| other_history(facts, log).is_none());
    let in_log = log.and_then(|log| log.position(found.seq));
    let others = [facts.noted_index(), facts.synced, in_log].into_iter().flatten();
    let is_contradicted =
        others.into_iter().any(|other| other.seq == found.seq && found.contradicts(other.epoch));
    let is_confirmed = in_log.is_some_and(|in_log| in_log.epoch.is_some());
    is_contradicted || (!is_confirmed && is_of_unknown_opening(facts, found))
}

/// Reports whether an index or snapshot goes beyond the manifest and ends with a commit of an opening
/// that is recorded nowhere.
///
/// Only openings that wrote the manifest, or found what it records, can have got further.
fn is_of_unknown_opening(facts: &Facts, found: Position) -> bool {
    let noted = facts.manifest.as_ref().ok().and_then(|noted| noted.index);
    noted.is_some_and(|noted| noted.seq < found.seq) && unknown_opening(facts, found.epoch).is_some()
}

/// Returns the end of the log for a reader that starts from the newest snapshot, without an index.
pub(crate) fn judge_restoring(facts: &Facts) -> Result<Option<LogEnd>, LogFault> {
    let must_have_log = facts.manifest.as_ref().is_ok_and(|noted| noted.must_have_log);
    judge_log(facts, facts.snapshot_seq(), None, must_have_log)
}

/// Returns the end of the log for a reader with everything up to the commit `known`.
///
/// The log must have every commit recorded outside of it, and those of the `index`, unless it is
/// replayed into that.
fn judge_log(
    facts: &Facts,
    known: u64,
    index: Option<u64>,
    is_needed: bool,
) -> Result<Option<LogEnd>, LogFault> {
    let log = facts.log.as_ref().map_err(|why| LogFault::LogFiles(why.clone()))?;
    if let Some((by, seq)) = other_history(facts, log) {
        return Err(LogFault::OtherHistory { seq, by });
    }
    let Some(end) = log.end_behind(known).map_err(LogFault::Damaged)? else {
        let is_missed = is_needed || facts.synced.is_some_and(|synced| known < synced.seq);
        return if is_missed { Err(LogFault::Gone) } else { Ok(None) };
    };
    if let Some((by, seq)) = foreign_commit(facts, &end, known) {
        return Err(LogFault::OtherHistory { seq, by });
    }
    let index = index.map(|seq| (NotedIn::Index, Position::new(seq, None)));
    let newest = noted_commits(facts).into_iter().chain(index).max_by_key(|(_, seen)| seen.seq);
    match newest.filter(|(_, seen)| end.last_seq < seen.seq) {
        Some((by, seen)) => Err(LogFault::EndsEarly { last: end.last_seq, held: seen.seq, by }),
        None => Ok(Some(end)),
    }
}

fn open(facts: &Facts, index: IndexSource, applied: u64, recovery: Recovery) -> Result<OpenPlan, Refusal> {
    let must_have_log = facts.manifest.as_ref().is_ok_and(|noted| noted.must_have_log);
    let (log, lost) = match judge_log(facts, applied, None, must_have_log) {
        Ok(end) => (end, None),
        Err(fault) if fault.may_be_cut(recovery) => {
            let log = facts.log.as_ref().ok().and_then(|log| log.end_before_damage(applied));
            (log, Some(fault))
        }
        Err(fault) => return Err(Refusal::Log { fault, applied }),
    };
    Ok(OpenPlan {
        index,
        applied,
        log,
        lost,
        damaged_log: None,
        damaged_snapshot: None,
        damaged_synced: None,
    })
}

impl LogFault {
    /// Reports whether the store can continue if the log is truncated.
    fn may_be_cut(&self, recovery: Recovery) -> bool {
        let is_of_use = match self {
            Self::LogFiles(_) | Self::OtherHistory { .. } => false,
            Self::Damaged(damage) => !matches!(damage.why, Broken::Unreadable(_)),
            Self::Gone | Self::EndsEarly { .. } => true,
        };
        recovery == Recovery::CutLog && is_of_use
    }
}

fn may_be_cut(copies: &CopiesFault, recovery: Recovery) -> bool {
    matches!(copies, CopiesFault::Log(fault) if fault.may_be_cut(recovery))
}

/// Returns the damage of the log for this opening, or for a rebuild of the index, if that part was
/// read.
fn damaged_log(
    facts: &Facts,
    opening: &OpenPlan,
    log_copy: &Result<Option<LogEnd>, LogFault>,
) -> Option<HarmlessLogFault> {
    let end = opening.log.as_ref()?;
    let is_read = facts.log.as_ref().is_ok_and(|log| log.from <= facts.snapshot_seq());
    let here =
        |end: &LogEnd| (!end.harmless.is_empty()).then(|| HarmlessLogFault::Here(end.harmless.clone()));
    here(end).or_else(|| match log_copy {
        _ if !is_read => None,
        Ok(copy) => copy.as_ref().and_then(here),
        Err(fault) => Some(HarmlessLogFault::NoCopy(fault.clone())),
    })
}

/// Returns why the newest snapshot cannot be used.
fn snapshot_fault(facts: &Facts) -> Option<String> {
    let newest = facts.snapshot()?;
    match &newest.soundness {
        Integrity::Damaged(why) => Some(why.clone()),
        Integrity::Intact | Integrity::Unchecked => {
            let seq = newest.position.seq;
            is_of_other_history(facts, newest.position).then(|| IndexFault::OtherHistory { seq }.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::durable::open::policy::facts::{ManifestFacts, SnapshotFacts};
    use crate::engine::durable::wal::{Behind, Run, Spot, Survey};
    use crate::folder::Synced;
    use crate::record::{Epoch, Writers};

    #[test]
    fn a_store_without_index_and_log_opens_only_if_its_log_may_be_cut() {
        let (index, writers) = (Some(Position::new(5, None)), Writers::default());
        let manifest = Ok(ManifestFacts { index, must_have_log: true, writers });
        let (index, log) = (Err("it is damaged".to_owned()), Ok(Survey::default()));
        let facts = Facts { manifest, index, log, ..Facts::noted(Err(String::new()), &Synced::default()) };
        assert!(matches!(judge(&facts, Recovery::Refuse).opens, Err(Refusal::NoCopy { .. })));
        let plan = judge(&facts, Recovery::CutLog).opens.unwrap();
        assert_eq!((plan.index, plan.applied, plan.lost), (IndexSource::Rebuilt, 0, Some(LogFault::Gone)));
    }

    #[test]
    fn a_log_may_be_gone_only_if_it_has_nothing_that_the_snapshot_lacks() {
        let restored = |snapshot: u64, synced: u64, must_have_log| {
            let manifest = Ok(ManifestFacts { index: None, must_have_log, writers: Writers::default() });
            let position = Position::new(snapshot, None);
            let snapshots = vec![SnapshotFacts { position, soundness: Integrity::Intact }];
            let synced = Some(Position::new(synced, None));
            let known = Facts::noted(Err(String::new()), &Synced::default());
            judge_restoring(&Facts { manifest, snapshots, synced, log: Ok(Survey::default()), ..known })
        };
        assert_eq!(restored(5, 5, false), Ok(None));
        assert_eq!(restored(5, 6, false), Err(LogFault::Gone));
        assert_eq!(restored(5, 5, true), Err(LogFault::Gone));
    }

    /// A store with this log and an index up to the commit `index`.
    fn with_log(log: Survey, index: u64) -> Facts {
        let noted = Some(Position::default());
        let manifest = ManifestFacts { index: noted, must_have_log: true, writers: Writers::default() };
        let known = Facts::noted(Err(String::new()), &Synced::default());
        Facts { manifest: Ok(manifest), index: Ok(Position::new(index, None)), log: Ok(log), ..known }
    }

    fn log_of(run: Run) -> Survey {
        let first = Some((Spot::default(), run.after + 1));
        Survey { runs: vec![run], first, ..Survey::default() }
    }

    #[test]
    fn only_log_that_was_read_is_damaged() {
        let log = log_of(Run { after: 10, last: 20, ..Run::default() });
        let found = |from| {
            judge(&with_log(Survey { from, ..log.clone() }, 15), Recovery::Refuse).opens.unwrap().damaged_log
        };
        assert_eq!(found(15), None);
        assert!(matches!(found(0), Some(HarmlessLogFault::NoCopy(_))));
    }

    #[test]
    fn log_that_the_system_cannot_read_is_not_cut() {
        let behind = Behind { synced: 9, ..Behind::default() };
        let log = log_of(Run { last: 5, behind, ..Run::default() });
        let unreadable = Some((Spot::default(), "the disk fails".to_owned()));
        let opens = |log| judge(&with_log(log, 0), Recovery::CutLog).opens;
        assert!(opens(Survey { unreadable, ..log.clone() }).is_err());
        assert!(opens(log).unwrap().lost.is_some());
    }

    #[test]
    fn the_log_must_confirm_an_index_of_an_unknown_opening() {
        let position = |(seq, epoch): (u64, u64)| Position::new(seq, Epoch::from_stored(epoch));
        let is_used = |index: (u64, u64), noted: (u64, u64), log: &[(u64, u64)]| {
            let index_noted = Some(position(noted));
            let writers = Writers::default();
            let epochs = log.iter().copied().map(position).collect();
            let run = Run { last: 8, epochs, ..Run::default() };
            let facts = Facts {
                manifest: Ok(ManifestFacts { index: index_noted, must_have_log: true, writers }),
                openings: Epoch::from_stored(1).into_iter().collect(),
                index: Ok(position(index)),
                log: Ok(Survey { runs: vec![run], ..Survey::default() }),
                ..Facts::noted(Err(String::new()), &Synced::default())
            };
            judge_index(&facts).is_ok()
        };
        assert!(!is_used((5, 9), (3, 0), &[]));
        assert!(is_used((5, 9), (3, 0), &[(1, 9), (6, 1)]));
        assert!(is_used((5, 9), (5, 0), &[]), "the manifest has it");
        assert!(is_used((5, 1), (3, 0), &[]), "its opening is known");
        assert!(!is_used((5, 9), (5, 1), &[(1, 9), (6, 1)]), "the manifest contradicts it");
    }
}
