//! The content of a log according to a scan, and its end for a reader that has everything up to
//! some commit.
//!
//! The log ends where no frame follows. Unsynced writes may be lost in any order, so data found
//! after that point proves nothing by itself. But each frame records what was synced when it was
//! written. If a frame after the end records a missing commit as synced, that commit existed and is
//! damaged. Otherwise the end is a torn tail: no commit after it was ever reported as synced.

use std::path::PathBuf;

use super::found::Spot;
use crate::engine::durable::wal::format::Place;
use crate::engine::durable::wal::segments::{SegmentDirectory, StoredSegment};

use crate::record::{Epoch, Position};

/// The content of a log. Keeps no file open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Survey {
    /// Segments before the one with the commit after this one were not read.
    pub(crate) from: u64,
    /// Runs of consecutive commits, in log order.
    pub(crate) runs: Vec<Run>,
    /// The first frame and its commit; `None` without any frame.
    pub(crate) first: Option<(Spot, u64)>,
    /// Segments whose header alone is damaged.
    pub(crate) headless: Vec<PathBuf>,
    /// Why a segment could not be read.
    pub(crate) unreadable: Option<(Spot, String)>,
}

/// Consecutive commits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Run {
    /// The commit before its first.
    pub(crate) after: u64,
    /// Its last whole commit; `after` if it has none.
    pub(crate) last: u64,
    /// The commit after that, if the run has only its beginning.
    pub(crate) begun: Option<u64>,
    /// The commit up to which its frames record everything as durable.
    pub(crate) synced: u64,
    /// Whether its last frame records that the store was closed.
    pub(crate) is_closed: bool,
    /// Breaks without a missing commit.
    pub(crate) holes: Vec<Hole>,
    /// The position of the gap before it.
    pub(crate) gap: Option<Spot>,
    /// Its start.
    pub(crate) start: Place,
    /// The end of its last whole commit.
    pub(crate) end: Place,
    /// The position that no frame follows.
    pub(crate) broken: Spot,
    /// Whether that file is shorter than its header says.
    pub(crate) is_cut_short: bool,
    /// The segment that should follow and is missing.
    pub(crate) leads_nowhere: Option<u64>,
    pub(crate) segments: Vec<Visited>,
    /// The content of the frames after it.
    pub(crate) behind: Behind,
    /// The epochs of its commits, each from this commit on.
    pub(crate) epochs: Vec<Position>,
    /// The epoch of a commit appended at its end, according to the log so far.
    pub(crate) says: Option<Epoch>,
}

/// Bytes that are not part of the log, without a missing commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hole {
    pub(crate) at: Spot,
    /// The commit before it.
    pub(crate) after: u64,
}

/// The content of frames after a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Behind {
    /// The commit up to which everything was durable.
    pub(crate) synced: u64,
    /// The newest commit with a frame there.
    pub(crate) newest: Option<u64>,
    /// Whether there is other data. In a recycled file it may be old, and does not count.
    pub(crate) is_written: bool,
}

impl Behind {
    pub(crate) fn note(&mut self, synced: u64, seq: u64) {
        self.synced = self.synced.max(synced);
        self.newest = self.newest.max(Some(seq));
    }

    fn and(self, other: Self) -> Self {
        Self {
            synced: self.synced.max(other.synced),
            newest: self.newest.max(other.newest),
            is_written: self.is_written || other.is_written,
        }
    }
}

/// A segment of which frames were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Visited {
    pub(crate) segment: u64,
    pub(crate) stored: StoredSegment,
    /// The newest commit with a frame in it, before the end.
    pub(crate) last_seq: u64,
    /// The end of its frames.
    pub(crate) end: u64,
}

/// The end of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogEnd {
    /// The last commit of the log.
    pub(crate) last_seq: u64,
    /// The commit up to which it is known to have been durable.
    pub(crate) synced: u64,
    /// The place of the next frame.
    pub(crate) end: Place,
    /// Whether the log was closed, and nothing follows its end.
    pub(crate) is_clean: bool,
    /// The segments up to there, oldest first.
    pub(crate) segments: Vec<Visited>,
    /// Damage to commits that the caller has or can do without. Such a log cannot be appended to: a
    /// new one is started after a snapshot.
    pub(crate) harmless: Vec<HarmlessDamage>,
    /// The newest commit with a frame after the end; `last_seq` if there is other data.
    pub(crate) torn: Option<u64>,
    /// The epochs of its commits, each from this commit on.
    pub(crate) epochs: Vec<Position>,
    /// The epoch of the next commit appended, according to the log so far.
    pub(crate) says: Option<Epoch>,
}

impl LogEnd {
    /// Returns what is known of the commit `seq`.
    pub(crate) fn position(&self, seq: u64) -> Position {
        Position::new(seq, epoch_of(&self.epochs, seq))
    }

    /// The last commit.
    pub(crate) fn last(&self) -> Position {
        self.position(self.last_seq)
    }

    /// Returns the same end with the epoch of a commit that the reader knows from elsewhere.
    ///
    /// If older segments were released, the log may begin after its last commit and no longer contain
    /// that commit's epoch.
    pub(crate) fn knowing(mut self, known: Position) -> Self {
        let is_earlier = self.epochs.first().is_none_or(|first| known.seq < first.seq);
        if known.epoch.is_some() && is_earlier && known.seq <= self.last_seq {
            self.epochs.insert(0, known);
        }
        self
    }

    /// Reports whether a segment lies between those that lead to this end but is not part of the log.
    ///
    /// Such a segment was prepared and never used, or was written by a diverged copy of the store.
    pub(crate) fn is_stray(&self, segment: u64) -> bool {
        let first = self.segments.first().map_or(self.end.segment, |visited| visited.segment);
        (first..self.end.segment).contains(&segment)
            && self.segments.iter().all(|visited| visited.segment != segment)
    }
}

/// Returns the directory for a reader of the log up to `end`: without stray segments, or all of it if
/// the end is unknown.
///
/// The commits of a copy have the same numbers as those of the store, so a reader must not see both.
pub(crate) fn own_segments(directory: &SegmentDirectory, end: Option<&LogEnd>) -> SegmentDirectory {
    directory.filter(|segment| end.is_none_or(|end| !end.is_stray(segment)))
}

/// Damage that loses nothing for a reader that has the commits before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HarmlessDamage {
    /// The commits after `after` up to `until`, if any, are unreadable.
    Gap { at: Spot, after: u64, until: u64 },
    /// The header of a segment.
    Header(PathBuf),
}

/// Damage that loses commits for a reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogDamage {
    pub(crate) at: Spot,
    pub(crate) why: Broken,
    /// The first unreadable commit.
    pub(crate) first: u64,
    /// The last one known to have existed.
    pub(crate) last: u64,
}

/// How a log is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Broken {
    NoFrame,
    CutShort,
    LeadsNowhere(u64),
    BeginsLater,
    /// The system cannot read it.
    Unreadable(String),
}

impl Survey {
    /// Passes what follows each run on to it.
    pub(crate) fn note_following_frames(&mut self) {
        let mut behind = Behind::default();
        for run in self.runs.iter_mut().rev() {
            run.behind = run.behind.and(behind);
            behind = run.behind;
            behind.note(run.synced, run.newest());
        }
    }

    /// Returns the end of the log for a reader with everything up to the commit `known`; `None` if
    /// the log has no frame.
    pub(crate) fn end_behind(&self, known: u64) -> Result<Option<LogEnd>, LogDamage> {
        self.check_readable(known)?;
        let Some((first, seq)) = &self.first else { return Ok(None) };
        let Some((n, run)) = self.run_behind(known) else {
            return Err(self.damage_before(known, first, *seq));
        };
        let synced = run.synced.max(run.behind.synced).max(known);
        if run.is_cut_short || run.leads_nowhere.is_some() || synced >= run.wanted() {
            return Err(run.damage(synced));
        }
        Ok(Some(self.end_of(n, run, known)))
    }

    /// Returns the end of the log before any damage; `None` if that is before what the reader has,
    /// so that nothing can be appended.
    pub(crate) fn end_before_damage(&self, known: u64) -> Option<LogEnd> {
        let (n, run) = self.run_behind(known)?;
        Some(LogEnd { is_clean: false, ..self.end_of(n, run, known) })
    }

    /// Returns the commit `seq` with its epoch; `None` if the log does not have it.
    pub(crate) fn position(&self, seq: u64) -> Option<Position> {
        let run = self.runs.iter().find(|run| (run.after..=run.last).contains(&seq))?;
        Some(Position::new(seq, run.epoch_of(seq)))
    }

    fn run_behind(&self, known: u64) -> Option<(usize, &Run)> {
        let is_it = |(_, run): &(usize, &Run)| !run.is_bare() && (run.after..=run.last).contains(&known);
        self.runs.iter().enumerate().find(is_it)
    }

    fn check_readable(&self, known: u64) -> Result<(), LogDamage> {
        let Some((at, why)) = self.unreadable.clone() else { return Ok(()) };
        Err(LogDamage { at, why: Broken::Unreadable(why), first: known + 1, last: known + 1 })
    }

    /// Returns the damage that stops a reader with everything up to the commit `known`.
    fn damage_before(&self, known: u64, first: &Spot, seq: u64) -> LogDamage {
        let before = self.runs.iter().rev().find(|run| !run.is_bare() && run.after <= known);
        match before {
            Some(run) => run.damage(run.synced.max(run.behind.synced).max(known)),
            None => {
                let why = if seq <= known { Broken::NoFrame } else { Broken::BeginsLater };
                LogDamage { at: first.clone(), why, first: (known + 1).min(seq), last: seq.max(known) }
            }
        }
    }

    fn end_of(&self, n: usize, run: &Run, known: u64) -> LogEnd {
        let newest = run.behind.newest.filter(|newest| *newest >= run.wanted());
        LogEnd {
            last_seq: run.last,
            synced: run.synced,
            end: run.end,
            is_clean: run.is_closed && run.behind.newest.is_none() && !run.behind.is_written,
            segments: run.segments.clone(),
            harmless: self.harmless_before(n, run, known),
            torn: newest.or(run.begun).or(run.behind.is_written.then_some(run.last)),
            epochs: run.epochs.clone(),
            says: run.says,
        }
    }

    /// Returns the damage before the end of the n-th run.
    fn harmless_before(&self, n: usize, run: &Run, known: u64) -> Vec<HarmlessDamage> {
        let mut found: Vec<_> =
            self.headless.iter().map(|path| HarmlessDamage::Header(path.clone())).collect();
        let mut before = None;
        for next in self.runs.iter().take(n + 1) {
            let until = next.after;
            let after = before.unwrap_or(known).min(until);
            found.extend(next.gap.clone().map(|at| HarmlessDamage::Gap { at, after, until }));
            before = Some(next.last);
        }
        let holes = run.holes.iter().map(|Hole { at, after }| (at.clone(), *after, *after));
        found.extend(holes.map(|(at, after, until)| HarmlessDamage::Gap { at, after, until }));
        found
    }
}

impl Run {
    pub(crate) fn new(after: u64, start: Place) -> Self {
        Self { after, last: after, start, end: start, ..Self::default() }
    }

    /// Reports whether this run continues after the commit `after`.
    pub(crate) fn joins(&self, after: u64) -> bool {
        let has_none_behind = self.behind.newest.is_none_or(|newest| newest <= self.last);
        self.last == after && self.begun.is_none() && has_none_behind
    }

    /// Joins this run over the hole that broke it.
    pub(crate) fn over_a_hole(mut self) -> Self {
        let at = std::mem::take(&mut self.broken);
        self.holes.push(Hole { at, after: self.last });
        self.behind = Behind::default();
        self.leads_nowhere = None;
        self
    }

    /// Returns the epoch of the commit `seq`.
    pub(crate) fn epoch_of(&self, seq: u64) -> Option<Epoch> {
        epoch_of(&self.epochs, seq)
    }

    /// Records the epoch of the commits from `seq` on.
    pub(crate) fn note_epoch(&mut self, seq: u64, epoch: Option<Epoch>) {
        match self.epochs.last_mut() {
            Some(from) if from.epoch == epoch => {}
            Some(from) if from.seq == seq => from.epoch = epoch,
            _ => self.epochs.push(Position::new(seq, epoch)),
        }
    }

    fn newest(&self) -> u64 {
        self.begun.unwrap_or(self.last)
    }

    /// Returns the commit that should come next.
    fn wanted(&self) -> u64 {
        self.last + 1
    }

    /// Reports whether it is only the beginning of a commit after a gap, where a reader would not
    /// find appended data.
    fn is_bare(&self) -> bool {
        self.gap.is_some() && self.end == self.start
    }

    fn damage(&self, known: u64) -> LogDamage {
        let why = match self.leads_nowhere {
            Some(segment) => Broken::LeadsNowhere(segment),
            None if self.is_cut_short => Broken::CutShort,
            None => Broken::NoFrame,
        };
        LogDamage { at: self.broken.clone(), why, first: self.wanted(), last: known.max(self.wanted()) }
    }
}

fn epoch_of(epochs: &[Position], seq: u64) -> Option<Epoch> {
    epochs.iter().rfind(|from| from.seq <= seq).and_then(|from| from.epoch)
}
