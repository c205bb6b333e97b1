//! The one way through a log: every frame that can be read, in order, whatever is wrong
//! with the rest. Commits are handed on as they come; what is left of the log, and where it
//! is broken, is answered as a [`Survey`]. What that means is not said here.

use super::found::{Found, Visitor};
use super::survey::Survey;
use super::walker::{Segment, Walker};
use crate::engine::durable::wal::segments::SegmentDirectory;
use crate::error::Result;

/// Walks through the log from the segment on that leads to the commit after `known`, or
/// from the oldest. Fails only if the system does not let it read, or as `visit` does.
pub(crate) fn walk(directory: &SegmentDirectory, known: u64, visit: &mut Visitor<'_>) -> Result<Survey> {
    let start = start(directory, known);
    let mut walker = Walker::new(directory, known, visit);
    for (segment, stored) in directory.iter().filter(|(segment, _)| *segment >= start) {
        if walker.leads_past(segment) {
            continue;
        }
        let path = directory.path(stored.slot);
        let bytes = match directory.read(stored) {
            Err(error) if error.is_of_the_system() => return Err(error),
            Err(error) => {
                walker.note_unreadable(&path, &error);
                Vec::new()
            }
            Ok(bytes) => bytes,
        };
        let is_cut_short = (bytes.len() as u64) < stored.bytes;
        walker.segment(&Segment { id: segment, stored, path: &path, is_cut_short }, &bytes)?;
    }
    walker.finish()
}

/// What the log holds from there on.
pub(crate) fn survey(directory: &SegmentDirectory, known: u64) -> Result<Survey> {
    walk(directory, known, &mut |_| Ok(()))
}

/// Called with the number and the entry of a commit.
pub(crate) type CommitVisitor<'a> = dyn FnMut(u64, &[u8]) -> Result<()> + 'a;

/// Visits the commits after `known` as far as none is missing in between. Before the first
/// of them the walk may come upon others, and behind a gap it does.
pub(crate) fn read_behind(
    directory: &SegmentDirectory,
    known: u64,
    visit: &mut CommitVisitor<'_>,
) -> Result<Survey> {
    let mut last = known;
    walk(directory, known, &mut |found| match found {
        Found::Commit { seq, entry, .. } if seq == last + 1 => {
            last = seq;
            visit(seq, entry)
        }
        _ => Ok(()),
    })
}

/// The newest segment that begins at or before the commit `known`, so that the way from
/// there to what follows is read too. Older ones are waiting to be used again: some of them
/// may have been already.
fn start(directory: &SegmentDirectory, known: u64) -> u64 {
    for (segment, stored) in directory.iter().rev() {
        if directory.first_frame(segment, stored).ok().flatten().is_some_and(|head| head.seq <= known) {
            return segment;
        }
    }
    0
}
