//! The scan used by every reader of a log: it visits each readable commit in order, and returns the
//! content of the log and its breaks as a [`Survey`]. Callers decide what that means for the store.

use std::sync::Arc;

use super::found::{Found, Visitor};
use super::survey::Survey;
use super::walker::{Segment, Walker};
use crate::engine::durable::wal::segments::SegmentDirectory;
use crate::error::Result;

/// Scans the log from the segment that has the commit after `known`, or from the oldest one.
///
/// Fails only if the system cannot read, or `visit` fails.
pub(crate) fn walk(directory: &SegmentDirectory, known: u64, visit: &mut Visitor<'_>) -> Result<Survey> {
    let start = start(directory, known);
    let mut walker = Walker::new(directory, known, visit);
    let mut bytes = Vec::new();
    for (segment, stored) in directory.iter().filter(|(segment, _)| *segment >= start) {
        if walker.leads_past(segment) {
            continue;
        }
        let path = Arc::new(directory.path(stored.slot));
        match directory.read_into(stored, &mut bytes) {
            Err(error) if error.is_of_the_system() => return Err(error),
            Err(error) => {
                walker.note_unreadable(&path, &error);
                bytes.clear();
            }
            Ok(()) => {}
        }
        let is_cut_short = (bytes.len() as u64) < stored.bytes;
        walker.segment(&Segment { id: segment, stored, path: &path, is_cut_short }, &bytes)?;
    }
    walker.finish()
}

/// Scans the log without visiting commits.
pub(crate) fn survey(directory: &SegmentDirectory, known: u64) -> Result<Survey> {
    walk(directory, known, &mut |_| Ok(()))
}

/// A callback for the number and the entry of a commit.
pub(crate) type CommitVisitor<'a> = dyn FnMut(u64, &[u8]) -> Result<()> + 'a;

/// Visits the commits after `known`, up to the first missing one.
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

/// Returns the newest segment that starts at or before the commit `known`, to include the frames
/// that lead on from there.
///
/// Older segments are to be recycled, and some may have been already.
fn start(directory: &SegmentDirectory, known: u64) -> u64 {
    for (segment, stored) in directory.iter().rev() {
        if directory.first_frame(segment, stored).ok().flatten().is_some_and(|head| head.seq <= known) {
            return segment;
        }
    }
    0
}
