//! Reading all that a log still has, whatever is wrong with it: commits behind
//! damage, parts of large ones, segments whose header is damaged. Judges nothing:
//! whether the log may end where it does is for [`scan`](super::scan) to say.

use std::path::{Path, PathBuf};

use super::directory::Directory;
use super::frame::{Frame, Head, Kind};
use super::header::PAGE;
use super::search::Frames;
use crate::error::Result;

/// What stands in a log, from the oldest on.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    Commit {
        seq: u64,
        entry: &'a [u8],
        at: Spot,
    },
    /// The beginning of a commit of which the rest is missing.
    Begun {
        seq: u64,
        entry: &'a [u8],
        at: Spot,
    },
    /// Something is missing here: bytes that are no frames, a segment, commits.
    Gap {
        at: Spot,
        /// The last commit before it; one that the caller has, if none was read.
        after: u64,
        /// The last commit that is missing; `after` if none is.
        until: u64,
    },
}

/// A place in a file of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) path: PathBuf,
    pub(crate) offset: u64,
}

pub(crate) type Visitor<'a> = dyn FnMut(Found<'_>) -> Result<()> + 'a;

/// Visits all that can be read, from the segment on where the commit after `known`
/// is, or from the oldest.
pub(crate) fn browse(directory: &Directory, known: u64, visit: &mut Visitor<'_>) -> Result<()> {
    let start = start(directory, known);
    let mut browser = Browser { visit, known, last_seq: 0, way: Way::Begin, open: None };
    for (segment, stored) in directory.iter().filter(|(segment, _)| *segment >= start) {
        if browser.leads_past(segment, directory) {
            continue;
        }
        let bytes = match directory.read(stored) {
            Err(error) if error.is_of_the_system() => return Err(error),
            // What cannot be read is missing.
            bytes => bytes.unwrap_or_default(),
        };
        browser.segment(segment, &directory.path(stored.slot), &bytes)?;
    }
    browser.drop_open()
}

/// The newest segment in front of which no part of the commit after `known` can stand.
/// Older ones are waiting to be used again: some of them may have been already.
fn start(directory: &Directory, known: u64) -> u64 {
    let is_early = |head: Head| {
        let begins_there =
            head.seq == known.saturating_add(1) && matches!(head.kind, Kind::Whole | Kind::First);
        head.seq <= known || begins_there
    };
    for (segment, stored) in directory.iter().rev() {
        if directory.first_frame(segment, stored).ok().flatten().is_some_and(is_early) {
            return segment;
        }
    }
    0
}

struct Browser<'a, 'b> {
    visit: &'a mut Visitor<'b>,
    known: u64,
    /// The newest commit so far.
    last_seq: u64,
    way: Way,
    open: Option<Open>,
}

/// How the log goes on behind a segment.
enum Way {
    Begin,
    To(u64),
    /// It does not say.
    Broken(Spot),
}

/// A commit of several frames.
struct Open {
    seq: u64,
    parts: u32,
    entry: Vec<u8>,
    at: Spot,
}

impl Browser<'_, '_> {
    /// Whether the log goes on in a later segment: this one was got ready and not used.
    fn leads_past(&self, segment: u64, directory: &Directory) -> bool {
        matches!(self.way, Way::To(next) if segment < next && directory.get(next).is_some())
    }

    fn segment(&mut self, segment: u64, path: &Path, bytes: &[u8]) -> Result<()> {
        let spot = |offset: usize| Spot { path: path.to_owned(), offset: offset as u64 };
        let mut is_first = self.last_seq == 0;
        let mut broken = match std::mem::replace(&mut self.way, Way::Broken(spot(PAGE))) {
            Way::To(expected) if expected != segment => Some(spot(PAGE)),
            Way::Broken(at) => Some(at),
            Way::Begin | Way::To(_) => None,
        };
        let mut sound_until = PAGE;
        for (at, frame) in Frames::of(bytes, segment).from(PAGE) {
            let missing = self.missing_before(&frame);
            if at != sound_until || (!is_first && missing > self.last_seq) {
                broken.get_or_insert(spot(sound_until));
            }
            if let Some(broken) = broken.take() {
                self.gap(broken, missing.max(self.last_seq))?;
            }
            is_first = false;
            self.frame(&frame, spot(at))?;
            sound_until = at + frame.len();
        }
        if let Way::Broken(at) = &mut self.way {
            // What was broken before stays so where nothing in this segment was read.
            *at = broken.unwrap_or(spot(sound_until));
        }
        Ok(())
    }

    /// The last commit that is not all there although this frame comes after it.
    fn missing_before(&self, frame: &Frame<'_>) -> u64 {
        let seq = frame.head.seq;
        let goes_on = |open: &Open| (open.seq, open.parts) == (seq, frame.head.part);
        match frame.head.kind {
            Kind::Whole | Kind::First => seq.saturating_sub(1),
            Kind::Middle | Kind::Last if self.open.as_ref().is_some_and(goes_on) => self.last_seq,
            // It leads from one part of a commit to the next.
            Kind::Next if self.open.is_some() => self.last_seq,
            Kind::Middle | Kind::Last | Kind::Mark | Kind::Close | Kind::Next | Kind::Epoch => seq,
        }
    }

    fn gap(&mut self, at: Spot, until: u64) -> Result<()> {
        self.drop_open()?;
        // Before the first frame that was read, the caller has the commits.
        let after = if self.last_seq == 0 { self.known.min(until) } else { self.last_seq };
        (self.visit)(Found::Gap { at, after, until })
    }

    /// A commit whose next part does not come.
    fn drop_open(&mut self) -> Result<()> {
        let Some(Open { seq, entry, at, .. }) = self.open.take() else { return Ok(()) };
        (self.visit)(Found::Begun { seq, entry: &entry, at })
    }

    fn frame(&mut self, frame: &Frame<'_>, at: Spot) -> Result<()> {
        let seq = frame.head.seq;
        match frame.head.kind {
            Kind::Whole => {
                self.drop_open()?;
                self.commit(seq, frame.body, at)
            }
            Kind::First => {
                self.drop_open()?;
                self.open = Some(Open { seq, parts: 1, entry: frame.body.to_vec(), at });
                Ok(())
            }
            Kind::Middle | Kind::Last => self.part(frame),
            Kind::Next | Kind::Mark | Kind::Close | Kind::Epoch => {
                if frame.head.kind == Kind::Next
                    && let Ok(id) = frame.body.try_into()
                {
                    self.way = Way::To(u64::from_le_bytes(id));
                }
                if self.open.is_none() {
                    self.last_seq = self.last_seq.max(seq);
                }
                Ok(())
            }
        }
    }

    fn part(&mut self, frame: &Frame<'_>) -> Result<()> {
        let Some(open) = &mut self.open else {
            // Its beginning is missing: what stands here cannot be told apart.
            self.last_seq = self.last_seq.max(frame.head.seq);
            return Ok(());
        };
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
        self.last_seq = seq;
        (self.visit)(Found::Commit { seq, entry, at })
    }
}
