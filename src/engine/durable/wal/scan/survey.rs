//! What a log holds, as a walk through it found it, and how it goes on behind a commit.
//!
//! The log ends where no frame follows. Writes that were not synced may be lost in any
//! order, so what is found behind that point says nothing by itself. But each frame says
//! what was synced when it was written. If a frame behind the end says that a missing commit
//! was synced, that commit was there and is damaged. Otherwise the end is a torn tail: no
//! commit behind it was ever reported as synced.

use std::path::PathBuf;

use super::found::Spot;
use crate::engine::durable::wal::format::Place;
use crate::engine::durable::wal::segments::StoredSegment;

use crate::record::{Epoch, Position};

/// What a log holds. Facts only: it knows no file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Survey {
    /// What stands before the segment that leads to the commit after this one was not read.
    pub(crate) from: u64,
    /// Commits in a row, in the order of the log.
    pub(crate) runs: Vec<Run>,
    /// The first frame, and the commit it is of; `None` if there is no frame at all.
    pub(crate) first: Option<(Spot, u64)>,
    /// Segments of which the header is damaged, and nothing else.
    pub(crate) headless: Vec<PathBuf>,
    /// Why a segment could not be read.
    pub(crate) unreadable: Option<(Spot, String)>,
}

/// Commits of which none is missing in between.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Run {
    /// The commit before its first: who has everything up to that one goes on here.
    pub(crate) after: u64,
    /// Its last whole commit; `after` if it has none.
    pub(crate) last: u64,
    /// A commit behind that of which it has the beginning only.
    pub(crate) begun: Option<u64>,
    /// The commit up to which its frames say that everything was durable.
    pub(crate) synced: u64,
    /// Whether its last frame says that the store was closed in good order.
    pub(crate) is_closed: bool,
    /// Where it is broken, although no commit is missing there.
    pub(crate) holes: Vec<Hole>,
    /// Where something before it is missing, if so.
    pub(crate) gap: Option<Spot>,
    /// Where it begins.
    pub(crate) start: Place,
    /// Behind its last whole commit.
    pub(crate) end: Place,
    /// Where no frame follows.
    pub(crate) broken: Spot,
    /// Whether the file is cut short in which that is.
    pub(crate) is_cut_short: bool,
    /// The segment that should follow, and is missing.
    pub(crate) leads_nowhere: Option<u64>,
    pub(crate) segments: Vec<Visited>,
    /// What stands behind it says this.
    pub(crate) behind: Behind,
    /// By which opening its commits were written, each from this one on.
    pub(crate) epochs: Vec<Position>,
    /// And what would be written behind its end, as the log says so far.
    pub(crate) says: Option<Epoch>,
}

/// Something that is no part of the log, and stands where no commit is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hole {
    pub(crate) at: Spot,
    /// The commit before it.
    pub(crate) after: u64,
}

/// What frames say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Behind {
    /// The commit up to which everything was durable.
    pub(crate) synced: u64,
    /// The newest commit of which one is a part.
    pub(crate) newest: Option<u64>,
    /// Whether something else stands there. In a file that was used before it may be what
    /// that held then, and does not count.
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
    /// The newest commit of which it has a frame before the end.
    pub(crate) last_seq: u64,
    /// Where its frames end.
    pub(crate) end: u64,
}

/// Where a log ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogEnd {
    /// The last commit of the log.
    pub(crate) last_seq: u64,
    /// The commit up to which it is known to have been durable.
    pub(crate) synced: u64,
    /// Where the next frame goes.
    pub(crate) end: Place,
    /// Whether the log was closed in good order, and nothing stands behind its end.
    pub(crate) is_clean: bool,
    /// The segments that lead there, oldest first.
    pub(crate) segments: Vec<Visited>,
    /// Damage to what the caller has anyway, or can do without. The log is not to be gone
    /// on with: another is begun behind a snapshot.
    pub(crate) harmless: Vec<HarmlessDamage>,
    /// The newest commit of which a frame stands behind the end; `last_seq` if what stands
    /// there is none.
    pub(crate) torn: Option<u64>,
    /// By which opening its commits were written, each from this one on.
    pub(crate) epochs: Vec<Position>,
    /// And what would be written next, as the log says so far.
    pub(crate) says: Option<Epoch>,
}

impl LogEnd {
    /// What is known of the commit `seq`.
    pub(crate) fn position(&self, seq: u64) -> Position {
        Position::new(seq, epoch_of(&self.epochs, seq))
    }

    /// The last commit.
    pub(crate) fn last(&self) -> Position {
        self.position(self.last_seq)
    }
}

/// Damage to a log that takes nothing from who has what it is behind of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HarmlessDamage {
    /// These commits, none if `until` is `after`, cannot be read.
    Gap { at: Spot, after: u64, until: u64 },
    /// The header of a segment.
    Header(PathBuf),
}

/// Damage to a log that takes something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogDamage {
    pub(crate) at: Spot,
    pub(crate) why: Broken,
    /// The first commit that cannot be read.
    pub(crate) first: u64,
    /// The last that is known to have been there.
    pub(crate) last: u64,
}

/// How a log is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Broken {
    NoFrame,
    CutShort,
    LeadsNowhere(u64),
    BeginsLater,
    /// The system does not read it.
    Unreadable(String),
}

impl Survey {
    /// Lets each run know what stands behind it.
    pub(crate) fn note_what_is_behind(&mut self) {
        let mut behind = Behind::default();
        for run in self.runs.iter_mut().rev() {
            run.behind = run.behind.and(behind);
            behind = run.behind;
            behind.note(run.synced, run.newest());
        }
    }

    /// How the log goes on for whoever has everything up to the commit `known`. `None` if it
    /// has no frame at all.
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

    /// The same, but the log ends where it is damaged. `None` if that is before what the
    /// caller has: then nothing can be appended there.
    pub(crate) fn end_before_damage(&self, known: u64) -> Option<LogEnd> {
        let (n, run) = self.run_behind(known)?;
        Some(LogEnd { is_clean: false, ..self.end_of(n, run, known) })
    }

    /// Of the commit `seq`, by which opening it was written; `None` if the log has it not.
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

    /// No run leads on from the commit `known`.
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

    /// The damage before the end of a run, which is the n-th.
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

    /// Whether a run that goes on behind the commit `after` is a part of this one.
    pub(crate) fn joins(&self, after: u64) -> bool {
        let has_none_behind = self.behind.newest.is_none_or(|newest| newest <= self.last);
        self.last == after && self.begun.is_none() && has_none_behind
    }

    /// This run, which goes on behind what broke it.
    pub(crate) fn over_a_hole(mut self) -> Self {
        let at = std::mem::take(&mut self.broken);
        self.holes.push(Hole { at, after: self.last });
        self.behind = Behind::default();
        self.leads_nowhere = None;
        self
    }

    /// By whom the commit `seq` of this run is.
    pub(crate) fn epoch_of(&self, seq: u64) -> Option<Epoch> {
        epoch_of(&self.epochs, seq)
    }

    /// The commits from `seq` on are of this epoch.
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

    /// The commit that is to come next.
    fn wanted(&self) -> u64 {
        self.last + 1
    }

    /// Whether it is nothing but the beginning of a commit, behind something that is
    /// missing. What is appended there would not be found.
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
