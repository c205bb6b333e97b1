//! By which opening each commit of a log was written, as its headers and frames tell.

use super::frame::{Frame, Kind};
use crate::record::{Epoch, Position};

/// The commits that were read, in runs of one epoch, from the oldest on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Epochs {
    /// With the epoch of which they are from this one on; `None` is not known.
    runs: Vec<Position>,
    /// The newest commit that was read.
    last: Option<u64>,
    /// Of the commits that come next.
    current: Option<Epoch>,
}

impl Epochs {
    /// The epoch of a commit, as far as that is known.
    pub(crate) fn of(&self, seq: u64) -> Option<Epoch> {
        if self.last.is_none_or(|last| seq > last) {
            return None;
        }
        self.runs.iter().rev().find(|run| run.seq <= seq)?.epoch
    }

    /// What this says of the commit `seq`.
    pub(crate) fn at(&self, seq: u64) -> Position {
        Position::new(seq, self.of(seq))
    }

    /// What a frame would mean that comes next.
    pub(super) fn current(&self) -> Option<Epoch> {
        self.current
    }

    /// A segment begins; its header says of whom it is.
    pub(super) fn enter(&mut self, header: Option<Epoch>) {
        self.current = header;
    }

    /// Something is missing here: the commit `from`, or who wrote it.
    pub(super) fn lose(&mut self, from: u64) {
        self.current = None;
        self.note(from, None);
    }

    pub(super) fn read(&mut self, frame: &Frame<'_>) {
        let seq = frame.head.seq;
        match frame.head.kind {
            Kind::Whole | Kind::First | Kind::Middle | Kind::Last => self.note(seq, self.current),
            Kind::Epoch => {
                let Some((before, after)) = decode(frame.body) else { return };
                // Of that one nothing else may be left in the log.
                if self.last.is_none_or(|last| last < seq) || self.of(seq).is_none() {
                    self.note(seq, before);
                }
                self.current = after;
            }
            Kind::Mark | Kind::Close | Kind::Next => {}
        }
    }

    fn note(&mut self, seq: u64, epoch: Option<Epoch>) {
        self.last = self.last.max(Some(seq));
        match self.runs.last_mut() {
            Some(run) if run.epoch == epoch => {}
            Some(run) if run.seq == seq => run.epoch = epoch,
            _ => self.runs.push(Position::new(seq, epoch)),
        }
    }
}

/// The body of a frame that says who writes from there on.
pub(super) fn encode(before: Option<Epoch>, after: Epoch) -> [u8; 16] {
    let mut body = [0; 16];
    if let Some((first, second)) = body.split_first_chunk_mut::<8>() {
        *first = Epoch::stored(before).to_le_bytes();
        second.copy_from_slice(&Epoch::stored(Some(after)).to_le_bytes());
    }
    body
}

fn decode(body: &[u8]) -> Option<(Option<Epoch>, Option<Epoch>)> {
    let (before, rest) = body.split_first_chunk()?;
    let after = rest.first_chunk().filter(|after| after.len() == rest.len())?;
    let stored = |bytes: &[u8; 8]| Epoch::from_stored(u64::from_le_bytes(*bytes));
    Some((stored(before), stored(after)))
}

#[cfg(test)]
mod tests {
    use super::super::frame::Head;
    use super::*;

    fn epoch(n: u64) -> Option<Epoch> {
        Epoch::from_stored(n)
    }

    fn frame(kind: Kind, seq: u64, body: &[u8]) -> Frame<'_> {
        Frame { head: Head { kind, seq, synced: 0, part: 0 }, body }
    }

    #[test]
    fn tells_of_each_commit_who_wrote_it() {
        let mut epochs = Epochs::default();
        epochs.enter(epoch(1));
        epochs.read(&frame(Kind::Mark, 4, &[]));
        assert_eq!(epochs.of(4), None, "of that commit nothing was read");
        epochs.read(&frame(Kind::Whole, 5, &[]));
        epochs.read(&frame(Kind::Whole, 6, &[]));
        epochs.read(&frame(Kind::Epoch, 6, &encode(epoch(1), epoch(2).unwrap())));
        epochs.read(&frame(Kind::Whole, 7, &[]));
        epochs.enter(epoch(2));
        epochs.read(&frame(Kind::Whole, 8, &[]));
        let found = [4, 5, 6, 7, 8, 9].map(|seq| epochs.of(seq));
        assert_eq!(found, [None, epoch(1), epoch(1), epoch(2), epoch(2), None]);
        assert_eq!(epochs.runs.len(), 2);
    }

    #[test]
    fn the_commit_before_the_log_is_known_by_the_frame() {
        let mut epochs = Epochs::default();
        epochs.enter(epoch(2));
        epochs.read(&frame(Kind::Epoch, 6, &encode(epoch(1), epoch(2).unwrap())));
        epochs.read(&frame(Kind::Mark, 6, &[]));
        epochs.read(&frame(Kind::Whole, 7, &[]));
        assert_eq!([5, 6, 7].map(|seq| epochs.of(seq)), [None, epoch(1), epoch(2)]);
    }

    #[test]
    fn behind_a_gap_nothing_is_known_until_it_is_said() {
        let mut epochs = Epochs::default();
        epochs.enter(epoch(1));
        epochs.read(&frame(Kind::Whole, 1, &[]));
        epochs.lose(2);
        epochs.read(&frame(Kind::Whole, 4, &[]));
        epochs.enter(epoch(3));
        epochs.read(&frame(Kind::Whole, 5, &[]));
        assert_eq!([1, 2, 3, 4, 5].map(|seq| epochs.of(seq)), [epoch(1), None, None, None, epoch(3)]);
    }
}
