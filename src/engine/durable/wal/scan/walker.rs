//! The state of a scan: reads the segments in order, frame by frame, and assembles the content of
//! the log.

use std::path::PathBuf;
use std::sync::Arc;

use super::found::{Found, Spot, Visitor};
use super::survey::{Run, Survey, Visited};
use crate::engine::durable::wal::format::{Frame, Head, Kind, PAGE, Place, epoch_change, frame_len, room};
use crate::engine::durable::wal::segments::Frames;
use crate::engine::durable::wal::segments::{SegmentDirectory, StoredSegment};
use crate::error::{Error, Result, chain};
use crate::record::{Epoch, Position};

pub(crate) struct Walker<'a, 'b> {
    directory: &'a SegmentDirectory,
    visit: &'a mut Visitor<'b>,
    survey: Survey,
    /// The run that the next frame may continue.
    run: Option<Run>,
    /// The previous run, which continues if no commit is missing in between.
    broken: Option<Run>,
    /// The newest commit with a frame read.
    newest: u64,
    open: Option<Open>,
    /// The epoch of the next commit, as far as known.
    epoch: Option<Epoch>,
    /// The epoch that it must have according to earlier frames: each opening records its epoch
    /// before its first commit.
    promised: Option<Epoch>,
    /// The commit whose end is in a segment but whose beginning is missing.
    tail: Option<u64>,
    /// The next segment, if a frame names one.
    next: Option<u64>,
    /// The start of the unreadable bytes.
    gap: Option<Spot>,
    /// The gap last reported to the visitor, until another run begins.
    reported_gap: Option<Spot>,
}

/// A commit of several frames, some of which were read.
struct Open {
    seq: u64,
    parts: u32,
    entry: Vec<u8>,
    at: Spot,
}

/// A segment being read.
pub(crate) struct Segment<'a> {
    pub(crate) id: u64,
    pub(crate) stored: StoredSegment,
    pub(crate) path: &'a Arc<PathBuf>,
    pub(crate) is_cut_short: bool,
}

impl Segment<'_> {
    fn spot(&self, offset: usize) -> Spot {
        Spot { path: self.path.clone(), offset: offset as u64 }
    }

    fn place(&self, offset: usize) -> Place {
        Place { segment: self.id, offset: offset as u64 }
    }

    fn visited(&self, last_seq: u64, end: usize) -> Visited {
        Visited { segment: self.id, stored: self.stored, last_seq, end: end as u64 }
    }
}

impl<'a, 'b> Walker<'a, 'b> {
    pub(crate) fn new(directory: &'a SegmentDirectory, known: u64, visit: &'a mut Visitor<'b>) -> Self {
        let survey = Survey { from: known, ..Survey::default() };
        let (run, broken, open, epoch, promised, tail, next, gap, reported_gap) = Default::default();
        Self {
            directory,
            visit,
            survey,
            run,
            broken,
            newest: 0,
            open,
            epoch,
            promised,
            tail,
            next,
            gap,
            reported_gap,
        }
    }

    /// Reports whether the log continues in a later segment, because this one was prepared but not
    /// used.
    pub(crate) fn leads_past(&self, segment: u64) -> bool {
        self.next.is_some_and(|next| segment < next)
    }

    /// Records that a segment could not be read.
    pub(crate) fn note_unreadable(&mut self, path: &Arc<PathBuf>, error: &Error) {
        let at = Spot { path: path.clone(), offset: 0 };
        self.survey.unreadable.get_or_insert((at, chain(error)));
    }

    pub(crate) fn segment(&mut self, segment: &Segment<'_>, bytes: &[u8]) -> Result<()> {
        if segment.stored.is_headless {
            self.survey.headless.push(segment.path.to_path_buf());
        }
        self.next = None;
        self.promised = self.epoch;
        self.epoch = segment.stored.epoch;
        let mut frames = Frames::of(bytes, segment.id);
        let mut end = PAGE;
        while let Some((at, frame)) = frames.first_from(end) {
            if at != end {
                self.break_off(segment, end)?;
            }
            end = at + frame.len();
            self.frame(&frame, segment, at)?;
            if self.next.is_some() {
                return Ok(());
            }
        }
        self.break_off(segment, end)?;
        if let Some(run) = &mut self.broken {
            run.behind.is_written |= has_more(segment.stored, bytes, end);
        }
        Ok(())
    }

    fn frame(&mut self, frame: &Frame<'_>, segment: &Segment<'_>, at: usize) -> Result<()> {
        let Head { seq, synced, kind, .. } = frame.head;
        self.survey.first.get_or_insert_with(|| (segment.spot(at), seq));
        if self.run.is_some() && !self.is_next(frame) {
            self.break_off(segment, at)?;
        }
        if self.run.is_none() {
            self.report_gap(frame, segment, at)?;
            self.begin_run(frame, segment, at);
        }
        self.newest = self.newest.max(seq);
        let Some(run) = &mut self.run else {
            self.stray(frame, at);
            return Ok(());
        };
        run.synced = run.synced.max(synced);
        run.is_closed = kind == Kind::Close;
        match kind {
            Kind::Whole | Kind::First | Kind::Middle | Kind::Last => run.note_epoch(seq, self.epoch),
            Kind::Epoch => {
                let (before, after) = epoch_change::decode(frame);
                if run.epoch_of(seq).is_none() {
                    run.note_epoch(seq, before);
                }
                (self.epoch, self.promised) = (after, after);
            }
            Kind::Mark | Kind::Close | Kind::Next => {}
        }
        self.take(frame, segment, at)?;
        self.note_boundary(segment, at + frame.len());
        Ok(())
    }

    /// Reports whether the frame is the next one of the run.
    fn is_next(&self, frame: &Frame<'_>) -> bool {
        let (Head { kind, seq, part, .. }, Some(run)) = (frame.head, &self.run) else { return false };
        if !self.is_same_history(frame, run) {
            return false;
        }
        match (kind, &self.open) {
            (Kind::Whole, None) => seq == run.last + 1,
            (Kind::First, None) => seq == run.last + 1 && part == 0,
            (Kind::Middle | Kind::Last, Some(open)) => (open.seq, open.parts) == (seq, part),
            (Kind::Mark | Kind::Close | Kind::Epoch, None) => seq == run.last,
            (Kind::Next, _) => seq == run.last && leads_to(frame).is_some(),
            _ => false,
        }
    }

    /// Reports whether the epochs of a frame and the run agree, as far as known.
    fn is_same_history(&self, frame: &Frame<'_>, run: &Run) -> bool {
        let seq = frame.head.seq;
        match frame.head.kind {
            Kind::Whole | Kind::First if self.open.is_none() => {
                !Position::new(seq, self.promised).contradicts(self.epoch)
            }
            Kind::Epoch => !Position::new(seq, run.epoch_of(seq)).contradicts(epoch_change::decode(frame).0),
            _ => true,
        }
    }

    /// Starts a run with a frame, or continues the previous one if no commit is missing in between.
    fn begin_run(&mut self, frame: &Frame<'_>, segment: &Segment<'_>, at: usize) {
        let Head { kind, seq, part, .. } = frame.head;
        let after = match kind {
            Kind::Whole => seq.checked_sub(1),
            Kind::First if part == 0 => seq.checked_sub(1),
            Kind::Mark | Kind::Close | Kind::Epoch => Some(seq),
            Kind::Next if self.tail.is_none() && leads_to(frame).is_some() => Some(seq),
            Kind::Last if self.is_of_tail(seq, at) => Some(seq),
            _ => None,
        };
        let Some(after) = after else { return };
        self.tail = None;
        self.run = match self.broken.take() {
            Some(run) if run.joins(after) => Some(run.over_a_hole()),
            broken => {
                self.survey.runs.extend(broken);
                Some(Run { gap: self.reported_gap.take(), ..Run::new(after, segment.place(at)) })
            }
        };
        self.reported_gap = None;
    }

    /// Reports whether the commit began in a released segment.
    fn is_of_tail(&self, seq: u64, at: usize) -> bool {
        at == PAGE || self.tail == Some(seq)
    }

    /// Records a frame of a commit whose beginning is missing.
    fn stray(&mut self, frame: &Frame<'_>, at: usize) {
        let Head { kind, seq, synced, .. } = frame.head;
        if let Some(run) = &mut self.broken {
            run.behind.note(synced, seq);
        }
        match kind {
            Kind::Middle if self.is_of_tail(seq, at) => self.tail = Some(seq),
            Kind::Next if self.tail.is_some() => {
                self.next = leads_to(frame).filter(|next| self.directory.get(*next).is_some());
            }
            _ => {}
        }
    }

    /// Adds a frame to the run.
    fn take(&mut self, frame: &Frame<'_>, segment: &Segment<'_>, at: usize) -> Result<()> {
        let seq = frame.head.seq;
        match frame.head.kind {
            Kind::Whole => self.commit(seq, frame.body, segment.spot(at)),
            Kind::First => {
                self.open = Some(Open { seq, parts: 1, entry: frame.body.to_vec(), at: segment.spot(at) });
                Ok(())
            }
            Kind::Middle | Kind::Last => self.part(frame),
            Kind::Mark | Kind::Close | Kind::Epoch => Ok(()),
            Kind::Next => self.leave(frame, segment, at),
        }
    }

    fn part(&mut self, frame: &Frame<'_>) -> Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        open.parts += 1;
        open.entry.extend_from_slice(frame.body);
        if frame.head.kind == Kind::Middle {
            return Ok(());
        }
        match self.open.take() {
            Some(Open { seq, entry, at, .. }) => self.commit(seq, &entry, at),
            None => Ok(()),
        }
    }

    fn commit(&mut self, seq: u64, entry: &[u8], at: Spot) -> Result<()> {
        if let Some(run) = &mut self.run {
            run.last = seq;
        }
        (self.visit)(Found::Commit { seq, entry, at })
    }

    /// Continues in the segment that a frame names.
    ///
    /// A frame that names an older one would cause a loop.
    fn leave(&mut self, frame: &Frame<'_>, segment: &Segment<'_>, at: usize) -> Result<()> {
        let Some(to) = leads_to(frame) else { return Ok(()) };
        if to <= segment.id || self.directory.get(to).is_none() {
            if let Some(run) = &mut self.run {
                run.leads_nowhere = Some(to);
            }
            return self.break_off(segment, at);
        }
        self.next = Some(to);
        if room(segment.stored.bytes, at as u64) < frame_len(epoch_change::BODY) as u64 {
            // Too little room for an opening to record its epoch before rotation: the header of the
            // next segment names it.
            self.epoch = None;
        }
        let newest = self.newest_of_run();
        if let Some(run) = &mut self.run {
            run.segments.push(segment.visited(newest, at + frame.len()));
        }
        Ok(())
    }

    /// Records that the log could end here, after a whole commit.
    fn note_boundary(&mut self, segment: &Segment<'_>, behind: usize) {
        let (end, says) = match self.next {
            Some(next) => {
                let header = self.directory.get(next).and_then(|stored| stored.epoch);
                (Place { segment: next, offset: PAGE as u64 }, header)
            }
            None => (segment.place(behind), self.epoch),
        };
        if let (Some(run), None) = (&mut self.run, &self.open) {
            (run.end, run.says) = (end, says);
        }
    }

    /// Returns the newest commit with a frame in the run.
    fn newest_of_run(&self) -> u64 {
        let last = self.run.as_ref().map_or(0, |run| run.last);
        self.open.as_ref().map_or(last, |open| open.seq)
    }

    /// Ends the run, which the data at this offset does not continue.
    fn break_off(&mut self, segment: &Segment<'_>, at: usize) -> Result<()> {
        self.tail = None;
        // The unreadable data may have named another epoch.
        (self.epoch, self.promised) = (None, None);
        self.gap.get_or_insert_with(|| segment.spot(at));
        let newest = self.newest_of_run();
        let Some(mut run) = self.run.take() else { return Ok(()) };
        run.segments.push(segment.visited(newest, at));
        run.broken = segment.spot(at);
        run.is_cut_short = segment.is_cut_short;
        run.begun = self.open.as_ref().map(|open| open.seq);
        self.broken = Some(run);
        self.drop_open()
    }

    /// Passes on the beginning of a commit whose next part is missing.
    fn drop_open(&mut self) -> Result<()> {
        let Some(Open { seq, entry, at, .. }) = self.open.take() else { return Ok(()) };
        (self.visit)(Found::Begun { seq, entry: &entry, at })
    }

    /// Reports the gap before a frame that continues no run.
    fn report_gap(&mut self, frame: &Frame<'_>, segment: &Segment<'_>, at: usize) -> Result<()> {
        let seq = frame.head.seq;
        let missing = match frame.head.kind {
            Kind::Whole | Kind::First => seq.saturating_sub(1),
            _ => seq,
        };
        if self.gap.is_none() && (self.newest == 0 || missing <= self.newest) {
            return Ok(());
        }
        let gap = self.gap.take().unwrap_or_else(|| segment.spot(at));
        self.reported_gap.get_or_insert_with(|| gap.clone());
        let until = missing.max(self.newest);
        // The caller has the commits before the first frame read.
        let after = if self.newest == 0 { self.survey.from.min(until) } else { self.newest };
        (self.visit)(Found::Gap { at: gap, after, until })
    }

    pub(crate) fn finish(mut self) -> Result<Survey> {
        self.drop_open()?;
        self.survey.runs.extend(self.broken.take());
        self.survey.runs.extend(self.run.take());
        self.survey.note_following_frames();
        Ok(self.survey)
    }
}

/// Reports whether data was written to a segment after `end`, as far as known: a recycled file
/// still has its old content.
fn has_more(stored: StoredSegment, bytes: &[u8], end: usize) -> bool {
    stored.is_fresh && bytes.get(end..).is_some_and(|rest| rest.iter().any(|byte| *byte != 0))
}

/// Returns the next segment that a frame names.
fn leads_to(frame: &Frame<'_>) -> Option<u64> {
    frame.body.try_into().ok().map(u64::from_le_bytes)
}
