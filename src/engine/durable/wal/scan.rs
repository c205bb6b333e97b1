//! Reading the log from a commit on to its end, and telling what kind of end it
//! is.
//!
//! The log ends where no frame follows. Writes that were not synced may be lost
//! in any order, so what is found behind that point says nothing by itself. But
//! each frame says what was synced when it was written. If a frame behind the end
//! says that a missing commit was synced, that commit was there and is damaged: an
//! error. Otherwise the end is a torn tail: no commit behind it was ever reported
//! as synced.

use super::directory::{Directory, Stored};
use super::epochs::Epochs;
use super::frame::{ALIGN, Frame, Head, Kind, Place};
use super::header::PAGE;
use super::search::Frames;
use crate::error::{Failure, Result};

/// Called with the sequence number and the entry of each commit.
pub(crate) type Visitor<'a> = dyn FnMut(u64, &[u8]) -> Result<()> + 'a;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scan {
    /// The last commit of the log.
    pub(crate) last_seq: u64,
    /// The commit up to which it is known to have been durable.
    pub(crate) synced: u64,
    /// Where the next frame goes.
    pub(crate) end: Place,
    /// Whether the log was closed in good order, and nothing stands behind its end.
    pub(crate) is_clean: bool,
    /// The segments that were read, oldest first.
    pub(crate) segments: Vec<Visited>,
    /// Damage to what the caller has anyway, or can do without. The log is not to be gone
    /// on with: another is begun behind a snapshot.
    pub(crate) harmless: Option<String>,
    /// The newest commit of which a frame stands behind the end; `last_seq` if what stands
    /// there is no frame. In a file that was used before, that may be what it held then,
    /// and does not count.
    pub(crate) torn: Option<u64>,
    /// By whom the commits are.
    pub(crate) epochs: Epochs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Visited {
    pub(crate) segment: u64,
    pub(crate) stored: Stored,
    /// The newest commit of which it has a frame before the end.
    pub(crate) last_seq: u64,
    /// Where its frames end.
    pub(crate) end: u64,
}

/// Reads the commits after `known`, which the caller has from elsewhere. `None` if
/// the log has no frame at all.
pub(crate) fn scan(directory: &Directory, known: u64, visit: &mut Visitor<'_>) -> Result<Option<Scan>> {
    scan_from(directory, known, false, visit)
}

/// The same, but the log ends where it is damaged. `None` if that is before what
/// the caller has: then nothing can be appended there.
pub(crate) fn scan_up_to_damage(
    directory: &Directory,
    known: u64,
    visit: &mut Visitor<'_>,
) -> Result<Option<Scan>> {
    match scan_from(directory, known, true, visit) {
        Err(error) if matches!(error.failure(), Failure::LogDamaged { .. }) => Ok(None),
        found => found,
    }
}

fn scan_from(
    directory: &Directory,
    known: u64,
    ends_at_damage: bool,
    visit: &mut Visitor<'_>,
) -> Result<Option<Scan>> {
    let Some((segment, stored)) = find_start(directory, known)? else { return Ok(None) };
    let mut scanner = Scanner::new(directory, known, segment, ends_at_damage);
    let mut next = Some((segment, stored));
    while let Some((segment, stored)) = next {
        next = scanner.read_segment(segment, stored, visit)?;
    }
    scanner.finish().map(Some)
}

/// The newest segment that begins at or before the commit `known`, so that the way
/// from there to what follows is read too; or the oldest, if it begins with the
/// commit after.
fn find_start(directory: &Directory, known: u64) -> Result<Option<(u64, Stored)>> {
    let mut oldest = None;
    for (segment, stored) in directory.iter().rev() {
        let Some(head) = directory.first_frame(segment, stored)? else { continue };
        if head.seq <= known {
            return Ok(Some((segment, stored)));
        }
        oldest = Some((segment, stored, head));
    }
    let Some((segment, stored, head)) = oldest else { return Ok(None) };
    if head.seq == known + 1 && matches!(head.kind, Kind::Whole | Kind::First) {
        return Ok(Some((segment, stored)));
    }
    let why = "the segments before this one are missing, or their headers are damaged".to_owned();
    let (path, offset) = (directory.path(stored.slot), PAGE as u64);
    Err(Failure::LogDamaged { path, offset, why, first: known + 1, last: head.seq }.into())
}

/// A commit of several frames, of which some were read.
#[derive(Debug)]
struct Open {
    seq: u64,
    parts: u32,
    entry: Vec<u8>,
}

#[derive(Debug)]
struct Scanner<'a> {
    directory: &'a Directory,
    known: u64,
    ends_at_damage: bool,
    /// The last whole commit that was read; `None` before the first frame.
    last_seq: Option<u64>,
    open: Option<Open>,
    resumed: Option<Resumed>,
    found: Scan,
}

/// A broken place behind which the scan went on.
#[derive(Debug, Clone, Copy)]
struct Resumed {
    broken: Place,
    /// The commit that was to come there.
    wanted: u64,
    behind: Place,
}

/// What a frame means for the scan.
enum Step {
    Accepted,
    Next(u64),
    /// Sound in itself, but not what comes next.
    Misplaced,
}

impl<'a> Scanner<'a> {
    fn new(directory: &'a Directory, known: u64, segment: u64, ends_at_damage: bool) -> Self {
        let end = Place { segment, offset: PAGE as u64 };
        let found = Scan {
            last_seq: 0,
            synced: 0,
            end,
            is_clean: false,
            segments: Vec::new(),
            harmless: None,
            torn: None,
            epochs: Epochs::default(),
        };
        Self { directory, known, ends_at_damage, last_seq: None, open: None, resumed: None, found }
    }

    /// Reads the frames of a segment; answers which segment comes next.
    fn read_segment(
        &mut self,
        segment: u64,
        stored: Stored,
        visit: &mut Visitor<'_>,
    ) -> Result<Option<(u64, Stored)>> {
        let bytes = self.directory.read(stored)?;
        let mut frames = Frames::of(&bytes, segment);
        let mut visited = Visited { segment, stored, last_seq: 0, end: PAGE as u64 };
        if stored.is_headless {
            let path = self.path_of(segment).display().to_string();
            self.found.harmless.get_or_insert(format!("the header of {path}"));
        }
        self.found.epochs.enter(stored.epoch);
        let mut at = PAGE;
        loop {
            let place = Place { segment, offset: at as u64 };
            let frame = frames.at(at);
            let step = match frame {
                Some(frame) => self.accept(&frame, visit)?,
                None => Step::Misplaced,
            };
            let after = at + frame.map_or(0, |frame| frame.len());
            match step {
                Step::Accepted => at = after,
                Step::Next(next) => {
                    visited.end = after as u64;
                    visited.last_seq = self.newest_seq();
                    self.found.segments.push(visited);
                    return self.go_on(place, next);
                }
                Step::Misplaced => match self.resume_behind(&mut frames, place)? {
                    Some(resumed) => at = resumed,
                    None => {
                        visited.end = at as u64;
                        visited.last_seq = self.newest_seq();
                        self.found.segments.push(visited);
                        self.judge_end(&mut frames, place, stored)?;
                        return Ok(None);
                    }
                },
            }
            self.note_boundary(segment, at);
        }
    }

    /// Where the log could end so far: behind a whole commit.
    fn note_boundary(&mut self, segment: u64, at: usize) {
        if self.open.is_none() {
            self.found.end = Place { segment, offset: at as u64 };
        }
    }

    fn go_on(&mut self, place: Place, next: u64) -> Result<Option<(u64, Stored)>> {
        // One that leads back would lead on for ever.
        let Some(stored) = self.directory.get(next).filter(|_| next > place.segment) else {
            let why = format!(
                "it leads to segment {next:016x}, which is missing, has a damaged header, or is an older one"
            );
            return self.damaged(place, why, self.wanted()).map(|()| None);
        };
        self.note_boundary(next, PAGE);
        Ok(Some((next, stored)))
    }

    fn accept(&mut self, frame: &Frame<'_>, visit: &mut Visitor<'_>) -> Result<Step> {
        let Head { kind, seq, part, .. } = frame.head;
        let is_next_commit = self.open.is_none() && self.last_seq.is_none_or(|last| seq == last + 1);
        match kind {
            Kind::Whole if is_next_commit => self.commit(seq, frame.body, visit)?,
            Kind::First if is_next_commit && part == 0 => {
                self.open = Some(Open { seq, parts: 1, entry: frame.body.to_vec() });
            }
            Kind::Middle | Kind::Last => match &mut self.open {
                Some(open) if open.seq == seq && open.parts == part => {
                    open.parts += 1;
                    open.entry.extend_from_slice(frame.body);
                    if kind == Kind::Last
                        && let Some(open) = self.open.take()
                    {
                        self.commit(seq, &open.entry, visit)?;
                    }
                }
                // The end of a commit that the caller has.
                None if self.last_seq.is_none() && seq <= self.known => {
                    self.last_seq = (kind == Kind::Last).then_some(seq);
                }
                _ => return Ok(Step::Misplaced),
            },
            Kind::Mark | Kind::Close | Kind::Epoch
                if self.open.is_none() && self.last_seq.is_none_or(|last| seq == last) =>
            {
                self.last_seq = Some(seq);
            }
            Kind::Next if self.last_seq.is_none_or(|last| seq == last) => {
                let Ok(id) = frame.body.try_into() else { return Ok(Step::Misplaced) };
                self.note(frame);
                return Ok(Step::Next(u64::from_le_bytes(id)));
            }
            _ => return Ok(Step::Misplaced),
        }
        self.note(frame);
        Ok(Step::Accepted)
    }

    fn commit(&mut self, seq: u64, entry: &[u8], visit: &mut Visitor<'_>) -> Result<()> {
        self.last_seq = Some(seq);
        if seq > self.known { visit(seq, entry) } else { Ok(()) }
    }

    fn note(&mut self, frame: &Frame<'_>) {
        self.found.synced = self.found.synced.max(frame.head.synced);
        self.found.is_clean = frame.head.kind == Kind::Close;
        self.found.epochs.read(frame);
    }

    /// The newest commit of which a frame was accepted.
    fn newest_seq(&self) -> u64 {
        self.open.as_ref().map(|open| open.seq).or(self.last_seq).unwrap_or(self.known)
    }

    /// The commit that is to come next.
    fn wanted(&self) -> u64 {
        self.open.as_ref().map_or_else(|| self.last_seq.map_or(self.known, |last| last + 1), |open| open.seq)
    }

    /// Where a broken place in commits that the caller has is over, if it is.
    fn resume_behind(&mut self, frames: &mut Frames<'_>, place: Place) -> Result<Option<usize>> {
        if self.wanted() > self.known {
            return Ok(None);
        }
        let known = self.known;
        let joins = |head: Head| match head.kind {
            Kind::Whole | Kind::First => (1..=known + 1).contains(&head.seq),
            Kind::Mark | Kind::Close | Kind::Next | Kind::Epoch => head.seq <= known,
            Kind::Middle | Kind::Last => false,
        };
        let found = frames.from(behind(place)).find(|(_, frame)| joins(frame.head));
        let Some((at, Frame { head, .. })) = found else { return Ok(None) };
        let behind = Place { offset: at as u64, ..place };
        self.resumed = Some(Resumed { broken: place, wanted: self.wanted(), behind });
        self.found.epochs.lose(self.wanted());
        self.open = None;
        self.last_seq = match head.kind {
            Kind::Whole | Kind::First => Some(head.seq - 1),
            _ => Some(head.seq),
        };
        self.found.harmless =
            Some(format!("{} from byte {} to {at}", self.path_of(place.segment).display(), place.offset));
        Ok(Some(at))
    }

    /// Fails unless the log may end at `place`.
    fn judge_end(&mut self, frames: &mut Frames<'_>, place: Place, stored: Stored) -> Result<()> {
        let wanted = self.wanted();
        let (mut synced, mut newest) = (self.found.synced.max(self.known), None);
        let mut look = |head: Head| {
            synced = synced.max(head.synced);
            newest = newest.max(Some(head.seq));
        };
        frames.from(behind(place)).for_each(|(_, frame)| look(frame.head));
        let end = usize::try_from(place.offset).unwrap_or(usize::MAX);
        let mut has_more = has_more(stored, frames.bytes(), end);
        for (segment, stored) in self.directory.after(place.segment) {
            let bytes = self.directory.read(stored)?;
            Frames::of(&bytes, segment).from(PAGE).for_each(|(_, frame)| look(frame.head));
            has_more |= self::has_more(stored, &bytes, PAGE);
        }
        let is_short = (frames.bytes().len() as u64) < stored.bytes;
        if synced >= wanted || is_short {
            let why = if is_short { "the file is cut short" } else { "there is no sound frame" };
            self.damaged(place, why.to_owned(), synced.max(wanted))?;
        }
        // Who opened a closed log and died may have left something behind its end.
        self.found.is_clean &= newest.is_none() && !has_more;
        let newest = newest.filter(|newest| *newest >= wanted).or(self.open.as_ref().map(|open| open.seq));
        self.found.torn = newest.or(has_more.then(|| self.last_seq.unwrap_or(self.known)));
        Ok(())
    }

    fn damaged(&mut self, place: Place, why: String, last: u64) -> Result<()> {
        let has_all_known = self.last_seq.is_some_and(|last| last >= self.known);
        if self.ends_at_damage && has_all_known {
            self.found.is_clean = false;
            return Ok(());
        }
        let path = self.path_of(place.segment);
        Err(Failure::LogDamaged { path, offset: place.offset, why, first: self.wanted(), last }.into())
    }

    fn path_of(&self, segment: u64) -> std::path::PathBuf {
        self.directory.get(segment).map(|stored| self.directory.path(stored.slot)).unwrap_or_default()
    }

    fn finish(mut self) -> Result<Scan> {
        if let Some(Resumed { broken, wanted, behind }) = self.resumed
            && self.found.end == behind
        {
            // What is appended there would not be found.
            let why = "there is no sound frame, nor a whole commit behind that".to_owned();
            let path = self.path_of(broken.segment);
            let (offset, first, last) = (broken.offset, wanted, self.known);
            return Err(Failure::LogDamaged { path, offset, why, first, last }.into());
        }
        self.found.last_seq = self.last_seq.unwrap_or(self.known);
        Ok(self.found)
    }
}

/// Whether something was written to a segment behind `end`, as far as that can be told: a
/// file that was used before still has what it held then.
fn has_more(stored: Stored, bytes: &[u8], end: usize) -> bool {
    stored.is_fresh && bytes.get(end..).is_some_and(|rest| rest.iter().any(|byte| *byte != 0))
}

/// The first place behind a broken one where a frame may begin.
fn behind(place: Place) -> usize {
    usize::try_from(place.offset).unwrap_or(usize::MAX).saturating_add(ALIGN)
}
