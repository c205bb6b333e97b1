//! Reading all that a log still has, whatever is wrong with it: commits behind
//! damage, parts of large ones, segments whose header is damaged. Judges nothing:
//! whether the log may end where it does is for [`scan`](super::scan) to say.

use std::path::PathBuf;

use super::directory::{Directory, frame_at};
use super::frame::{ALIGN, Frame, Kind, Place};
use super::header::PAGE;
use super::scan::is_empty_page;
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
        /// Where sound frames go on in the same file.
        until: Option<u64>,
        /// The last commit before it; 0 if none was read.
        after: u64,
    },
}

/// A place in a file of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) path: PathBuf,
    pub(crate) offset: u64,
}

pub(crate) type Visitor<'a> = dyn FnMut(Found<'_>) -> Result<()> + 'a;

/// Visits all that can be read.
pub(crate) fn browse(directory: &Directory, visit: &mut Visitor<'_>) -> Result<()> {
    let mut browser = Browser { directory, visit, last_seq: 0, led_to: None, open: None };
    for (segment, stored) in directory.iter() {
        let bytes = directory.read(stored)?;
        browser.segment(segment, &directory.path(stored.slot), &bytes)?;
    }
    browser.drop_open()
}

struct Browser<'a, 'b> {
    directory: &'a Directory,
    visit: &'a mut Visitor<'b>,
    /// The newest commit so far.
    last_seq: u64,
    /// The segment that the one before led to.
    led_to: Option<u64>,
    open: Option<Open>,
}

/// A commit of several frames.
struct Open {
    seq: u64,
    parts: u32,
    entry: Vec<u8>,
    at: Spot,
}

impl Browser<'_, '_> {
    fn segment(&mut self, segment: u64, path: &std::path::Path, bytes: &[u8]) -> Result<()> {
        let spot = |offset: usize| Spot { path: path.to_owned(), offset: offset as u64 };
        if self.led_to.is_some_and(|led_to| led_to != segment) {
            self.gap(spot(PAGE), Some(PAGE as u64))?;
        }
        self.led_to = None;
        let (mut at, mut sound_until, mut is_first) = (PAGE, PAGE, self.last_seq == 0);
        while at < bytes.len() {
            let Some(frame) = frame_at(bytes, at, Place { segment, offset: at as u64 }) else {
                at += if is_empty_page(bytes, at) { PAGE } else { ALIGN };
                continue;
            };
            let is_jump = !is_first && self.is_jump(&frame);
            if at != sound_until || is_jump {
                self.gap(spot(sound_until), Some(at as u64))?;
            }
            is_first = false;
            self.frame(&frame, spot(at))?;
            at += frame.len();
            sound_until = at;
        }
        if self.led_to.is_none() && self.directory.after(segment).next().is_some() {
            self.gap(spot(sound_until), None)?;
        }
        Ok(())
    }

    /// Whether commits are missing before a frame.
    fn is_jump(&self, frame: &Frame<'_>) -> bool {
        let seq = frame.head.seq;
        match frame.head.kind {
            Kind::Whole | Kind::First => seq != self.last_seq + 1,
            Kind::Middle | Kind::Last => {
                self.open.as_ref().is_none_or(|open| (open.seq, open.parts) != (seq, frame.head.part))
            }
            Kind::Mark | Kind::Close => seq != self.last_seq,
            Kind::Next => false,
        }
    }

    fn gap(&mut self, at: Spot, until: Option<u64>) -> Result<()> {
        self.drop_open()?;
        (self.visit)(Found::Gap { at, until, after: self.last_seq })
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
            Kind::Next => {
                self.led_to = frame.body.try_into().ok().map(u64::from_le_bytes);
                Ok(())
            }
            Kind::Mark | Kind::Close => {
                self.last_seq = self.last_seq.max(seq);
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
