//! Replays the log on top of a snapshot up to some moment.

use jiff::Timestamp;

use super::until::Until;
use crate::engine::policy::{Facts, LogFault, MissingCommits, judge_restoring};
use crate::engine::wal::{
    Entry, Found, LogDamage, LogEnd, SegmentDirectory, Spot, own_segments, read_behind, survey, walk,
};
use crate::error::{Error, Failure, Result};
use crate::recovery::records::changes::Changes;

/// The changes of the log after the snapshot.
pub(crate) struct Replayed {
    pub(crate) changes: Changes,
    /// The last replayed commit.
    pub(crate) seq: u64,
    /// When it was made, if the log has the time.
    pub(crate) time: Option<Timestamp>,
}

impl Replayed {
    /// The result without any log after the snapshot of the commit `seq`.
    pub(crate) fn nothing_after(seq: u64) -> Self {
        Self { changes: Changes::default(), seq, time: None }
    }
}

/// Replays the log after the newest snapshot, which is of commit `base`, without a gap up to
/// `until`.
///
/// `facts` are what else is known of the store.
pub(crate) fn replay(log: &SegmentDirectory, base: u64, facts: Facts, until: Until) -> Result<Replayed> {
    let facts = Facts { log: Ok(survey(log, base)?), ..facts };
    let judged = judge_restoring(&facts);
    let end = match (&judged, &facts.log) {
        (Err(_), Ok(survey)) => survey.end_before_damage(base),
        (judged, _) => judged.clone().ok().flatten(),
    };
    let log = &own_segments(log, end.as_ref());
    let mut replay = Replay { replayed: Replayed::nothing_after(base), until, passed: None };
    let read = read_behind(log, base, &mut |seq, entry| replay.commit(seq, entry));
    let Replay { mut replayed, passed, .. } = replay;
    if replayed.seq == base && base > 0 {
        replayed.time = time_of(log, base)?;
    }
    let asked = Asked { base, until, passed };
    read.map_err(|error| undecodable(error, replayed.seq))?;
    match judged {
        // A copy may have diverged before the requested commit.
        Err(fault @ LogFault::OtherHistory { .. }) => return Err(described(&fault, log, &replayed, until)?),
        // Anything after the requested commit does not matter.
        _ if asked.is_reached(replayed.seq) => asked.check_begin(&replayed)?,
        Ok(end) => asked.check_end(&replayed, end.as_ref())?,
        Err(fault) => return Err(described(&fault, log, &replayed, until)?),
    }
    Ok(replayed)
}

/// A replay up to the first commit that is not requested.
struct Replay {
    replayed: Replayed,
    until: Until,
    passed: Option<Passed>,
}

/// The first commit after the requested time.
#[derive(Debug, Clone, Copy)]
struct Passed {
    seq: u64,
    time: Option<Timestamp>,
}

impl Replay {
    fn commit(&mut self, seq: u64, entry: &[u8]) -> Result<()> {
        let is_behind = matches!(self.until, Until::Seq(wanted) if seq > wanted);
        if self.passed.is_some() || is_behind {
            self.passed.get_or_insert(Passed { seq, time: None });
            return Ok(());
        }
        let entry = decoded(seq, entry)?;
        let time = entry.time;
        if let Until::Time(wanted) = self.until {
            let time = time.ok_or_else(|| without_time(seq))?;
            if time > wanted {
                self.passed = Some(Passed { seq, time: Some(time) });
                return Ok(());
            }
        }
        self.replayed.changes.add(seq, entry.writes());
        (self.replayed.seq, self.replayed.time) = (seq, time);
        Ok(())
    }
}

fn decoded(seq: u64, entry: &[u8]) -> Result<Entry<'_>> {
    Entry::decode(entry).ok_or_else(|| {
        let why = "its checksum matches, but it does not decode".to_owned();
        Failure::Corrupt { place: format!("commit {seq} in the log"), why }.into()
    })
}

fn without_time(seq: u64) -> Error {
    Error::argument(format!(
        "commit {seq} was written by an earlier version, which did not record times; name a sequence number"
    ))
}

/// Returns when a commit was made, if the log still has it.
fn time_of(log: &SegmentDirectory, wanted: u64) -> Result<Option<Timestamp>> {
    let mut time = None;
    walk(log, wanted.saturating_sub(1), &mut |found| {
        if let Found::Commit { seq, entry, .. } = found
            && seq == wanted
        {
            time = Entry::decode(entry).and_then(|entry| entry.time);
        }
        Ok(())
    })?;
    Ok(time)
}

/// The requested moment, and the store.
struct Asked {
    base: u64,
    until: Until,
    passed: Option<Passed>,
}

impl Asked {
    /// Reports whether everything requested was replayed, or the requested moment is too early.
    fn is_reached(&self, seq: u64) -> bool {
        match self.until {
            Until::End => false,
            Until::Seq(wanted) => wanted <= seq,
            Until::Time(_) => self.passed.is_some(),
        }
    }

    /// Fails if the requested moment is earlier than what the store still has.
    fn check_begin(&self, replayed: &Replayed) -> Result<()> {
        let base = self.base;
        let why = match (self.until, self.passed) {
            (Until::Seq(wanted), _) if wanted < base => format!(
                "commit {wanted} is before the snapshot of commit {base}, the earliest moment to which the store can be restored"
            ),
            (Until::Time(wanted), Some(Passed { seq, time: Some(time) })) if replayed.seq == 0 => {
                format!("{wanted} is before commit {seq}, the first one of the store, made at {time}")
            }
            (Until::Time(wanted), _) if self.is_before_base(wanted, replayed) => {
                self.does_not_reach_back(wanted)
            }
            _ => return Ok(()),
        };
        Err(Error::argument(why))
    }

    fn is_before_base(&self, wanted: Timestamp, replayed: &Replayed) -> bool {
        replayed.seq == self.base && self.base > 0 && replayed.time.is_none_or(|time| time > wanted)
    }

    fn does_not_reach_back(&self, wanted: Timestamp) -> String {
        format!(
            "the log does not reach back to {wanted}: the snapshot of commit {base} is later, or its time is no longer in the log; `--until {base}` is the earliest moment to which the store can be restored",
            base = self.base
        )
    }

    /// Fails if the intact log ends before the requested moment.
    fn check_end(&self, replayed: &Replayed, end: Option<&LogEnd>) -> Result<()> {
        let (base, seq) = (self.base, replayed.seq);
        match self.until {
            Until::Seq(wanted) => {
                let torn = end.and_then(|end| end.torn).map(|torn| format!(
                    "; the data after it, from commits up to {torn}, was not known to be durable when the program or machine died"
                ));
                Err(Error::argument(format!(
                    "the log ends with commit {seq}, before {wanted}{}; the store can be restored to any commit from {base} to {seq}",
                    torn.unwrap_or_default()
                )))
            }
            Until::Time(wanted) if self.is_before_base(wanted, replayed) => {
                Err(Error::argument(self.does_not_reach_back(wanted)))
            }
            Until::End | Until::Time(_) => Ok(()),
        }
    }
}

/// Describes the damage of the log, and how far it is readable.
fn described(fault: &LogFault, log: &SegmentDirectory, replayed: &Replayed, until: Until) -> Result<Error> {
    let reached = replayed.seq;
    let LogFault::Damaged(LogDamage { at: Spot { path, offset }, why, last, .. }) = fault else {
        return Ok(damaged(fault.bare(), reached));
    };
    let mut missing = missing_after(log, reached, until)?.join(", ");
    if missing.is_empty() {
        missing = format!("commits from {} on, at least to {last}", reached + 1);
    }
    let place = format!("{} at byte {offset}: {why}", path.display());
    Ok(damaged(format!("missing: {missing} ({place})"), reached))
}

/// Adds the last commit before one that does not decode.
fn undecodable(error: Error, reached: u64) -> Error {
    match error.failure() {
        Failure::Corrupt { place, why } => damaged(format!("{place}: {why}"), reached),
        _ => error,
    }
}

fn damaged(why: String, reached: u64) -> Error {
    let leads = match reached {
        0 => String::new(),
        _ => format!(". `--until {reached}` restores what was before: all up to commit {reached}"),
    };
    Failure::Corrupt { place: "the log".to_owned(), why: format!("{why}{leads}") }.into()
}

/// Returns the unreadable commits after `reached`, up to the last readable or requested one.
fn missing_after(log: &SegmentDirectory, reached: u64, until: Until) -> Result<Vec<String>> {
    let wanted = if let Until::Seq(wanted) = until { wanted } else { u64::MAX };
    let (mut covered, mut missing) = (reached, Vec::new());
    walk(log, reached, &mut |found| {
        let Found::Commit { seq, .. } = found else { return Ok(()) };
        if seq > covered + 1 && covered < wanted {
            let range = MissingCommits::new(covered + 1, Some(seq - 1));
            missing.push(range.to_string());
        }
        covered = covered.max(seq);
        Ok(())
    })?;
    Ok(missing)
}
