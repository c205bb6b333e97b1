//! The end of the log, to which one thread at a time appends commits while others sync its files.
//! [`Log::flush`] writes what was appended, so that a group of commits shares one write.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;

use crate::disk::DiskFile;
use crate::engine::Batch;
use crate::engine::durable::wal::format::{
    HEADER_LEN, Head, Kind, PAGE, Place, encode, encoded_len, epoch_change, frame, frame_len, room,
};
use crate::engine::durable::wal::segments::{Pool, Segment, Slot};
use crate::error::{Error, Result};
use crate::record::{Epoch, Position};

/// A larger buffer is freed after use.
const BUFFER_BYTES_KEPT: usize = 1 << 20;

#[derive(Debug)]
pub(crate) struct Log {
    pub(super) pool: Arc<Pool>,
    pub(super) current: Segment,
    /// The offset of the next frame.
    pub(super) offset: u64,
    /// Bytes of segments in use that a snapshot covers.
    covered: u64,
    /// The earlier, full segments, oldest first.
    pub(super) sealed: VecDeque<Sealed>,
    /// The total size of these.
    sealed_bytes: u64,
    /// Files of sealed segments with frames that were not synced.
    unsynced: Vec<Arc<dyn DiskFile>>,
    /// Frames that the next flush writes.
    buffer: Vec<u8>,
    /// The last commit.
    pub(super) last: Position,
    /// The epoch of the next commits according to the log so far.
    says: Option<Epoch>,
    /// Bytes written since the log was opened.
    written: u64,
    /// The commit up to which a frame records everything as synced.
    noted: u64,
    /// Whether the next segment was requested early.
    pub(super) has_asked: bool,
}

/// The position at which the next commit is appended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    pub(crate) offset: u64,
    /// The last commit.
    pub(crate) last: Position,
    /// The epoch of the next commits according to the segment so far.
    pub(crate) says: Option<Epoch>,
}

/// A segment that gets no more frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) slot: Slot,
    /// The commit of the first frame of the next segment. Once a snapshot has that commit, this
    /// segment can be released, and the log still begins with a durable frame.
    pub(crate) until: u64,
    pub(crate) bytes: u64,
}

impl Log {
    /// Starts an empty log whose first commit is the one after `last`.
    pub(crate) fn create(pool: Arc<Pool>, last: Position) -> Result<Self> {
        let current = pool.take()?;
        let end = End { offset: PAGE as u64, last, says: Some(pool.epoch()) };
        let mut log = Self::resume(pool, current, end, VecDeque::new());
        log.mark(Kind::Mark, last.seq)?;
        log.current.file.sync()?;
        Ok(log)
    }

    /// Continues in `current` from `end` on.
    pub(crate) fn resume(pool: Arc<Pool>, current: Segment, end: End, sealed: VecDeque<Sealed>) -> Self {
        let End { offset, last, says } = end;
        let (unsynced, buffer) = (Vec::new(), Vec::new());
        let sealed_bytes = sealed.iter().map(|sealed| sealed.bytes).sum();
        Self {
            pool,
            current,
            offset,
            covered: 0,
            sealed,
            sealed_bytes,
            unsynced,
            buffer,
            last,
            says,
            written: 0,
            noted: 0,
            has_asked: false,
        }
    }

    pub(crate) fn last_seq(&self) -> u64 {
        self.last.seq
    }

    /// Returns the last commit.
    pub(crate) fn last(&self) -> Position {
        self.last
    }

    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Returns the commit up to which a frame records everything as synced.
    pub(crate) fn noted(&self) -> u64 {
        self.noted
    }

    /// Returns the total size of the files of all segments in use.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.sealed_bytes + self.current.bytes
    }

    /// Returns the bytes of the segments in use up to the end of the log.
    pub(crate) fn in_use(&self) -> u64 {
        self.sealed_bytes + self.offset
    }

    /// Returns the bytes written to segments in use that no snapshot covers.
    pub(crate) fn retained(&self) -> u64 {
        self.in_use().saturating_sub(self.covered)
    }

    /// Returns the number of segments in use.
    pub(crate) fn segments(&self) -> usize {
        self.sealed.len() + 1
    }

    /// Prepares the segments that a batch will need.
    ///
    /// If this fails, nothing was written.
    pub(crate) fn reserve(&self, batch: &Batch) -> Result<()> {
        let length = encoded_len(batch);
        match self.segments_wanted(length + self.announcement_len()) {
            0 => Ok(()),
            count => self.pool.prepare(count).map_err(Error::before_writing),
        }
    }

    /// Appends a batch to the buffer as the next commit, made at `time`; the next flush writes it.
    ///
    /// If this fails, the content of the log is unknown.
    pub(crate) fn append(
        &mut self,
        batch: &Batch,
        time: Timestamp,
        replaces: impl Fn(usize) -> u64,
        synced: u64,
    ) -> Result<()> {
        self.announce_writer(synced)?;
        let seq = self.last.seq + 1;
        let length = encoded_len(batch);
        if !self.fits(length) && (self.is_small(length) || body_limit(self.room()) == 0) {
            self.rotate(synced)?;
        }
        if self.fits(length) {
            let start = frame::begin(&mut self.buffer);
            self.buffer.reserve(length);
            let buffer = &mut self.buffer;
            let put = |piece: &[u8]| -> Result<()> {
                buffer.extend_from_slice(piece);
                Ok(())
            };
            encode(batch, time, replaces, put)?;
            self.seal(start, Head { kind: Kind::Whole, seq, synced, part: 0 });
        } else {
            let head = Head { kind: Kind::First, seq, synced, part: 0 };
            self.append_in_parts(batch, time, replaces, head)?;
        }
        self.last = Position::new(seq, Some(self.pool.epoch()));
        Ok(())
    }

    /// Records the epoch before the first commit of this opening.
    fn announce_writer(&mut self, synced: u64) -> Result<()> {
        if self.announcement_len() == 0 {
            return Ok(());
        }
        if self.fits(epoch_change::BODY) {
            self.announce(synced);
            return Ok(());
        }
        // The header of the new segment names it.
        self.rotate(synced)
    }

    /// Returns the length of the frame that names the epoch, if one is needed.
    fn announcement_len(&self) -> usize {
        if self.says == Some(self.pool.epoch()) { 0 } else { frame_len(epoch_change::BODY) }
    }

    fn announce(&mut self, synced: u64) {
        let epoch = self.pool.epoch();
        let start = frame::begin(&mut self.buffer);
        self.buffer.extend_from_slice(&epoch_change::encode(self.last.epoch, epoch));
        self.seal(start, Head { kind: Kind::Epoch, seq: self.last.seq, synced, part: 0 });
        self.says = Some(epoch);
    }

    /// Records the epoch of the last commit where a segment starts with a frame that is not a
    /// commit.
    fn announce_last(&mut self, synced: u64) {
        let is_at_begin = self.offset + self.buffer.len() as u64 == PAGE as u64;
        if is_at_begin && self.last.seq > 0 && self.fits(epoch_change::BODY) {
            self.announce(synced);
        }
    }

    /// Writes what was appended.
    ///
    /// If this fails, the content of the log is unknown.
    pub(crate) fn flush(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.current.file.write_at(&self.buffer, self.offset)?;
        self.offset += self.buffer.len() as u64;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        if self.buffer.capacity() > BUFFER_BYTES_KEPT {
            self.buffer = Vec::new();
        }
        Ok(())
    }

    pub(crate) fn is_flushed(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Writes a frame that is not a commit, if there is space for it.
    pub(crate) fn mark(&mut self, kind: Kind, synced: u64) -> Result<()> {
        self.announce_last(synced);
        if self.fits(0) {
            let start = frame::begin(&mut self.buffer);
            self.seal(start, Head { kind, seq: self.last.seq, synced, part: 0 });
        }
        self.flush()
    }

    /// Takes the files written since the last sync.
    ///
    /// Syncing all of them makes the log durable up to its last commit.
    pub(crate) fn take_unsynced(&mut self) -> Vec<Arc<dyn DiskFile>> {
        let mut files = std::mem::take(&mut self.unsynced);
        files.push(self.current.file.clone());
        files
    }

    /// Releases the segments that are not needed after the commit `seq`, which is synced.
    pub(crate) fn release(&mut self, seq: u64) {
        while let Some(oldest) = self.sealed.front().filter(|sealed| sealed.until <= seq) {
            self.pool.release([oldest.slot]);
            self.sealed_bytes -= oldest.bytes;
            self.covered = self.covered.saturating_sub(oldest.bytes);
            self.sealed.pop_front();
        }
        if self.last.seq <= seq {
            self.covered = self.in_use();
        }
    }

    /// Returns the space for more frames in the current segment, besides the one that names the
    /// next.
    fn room(&self) -> usize {
        self.room_after(self.offset + self.buffer.len() as u64)
    }

    fn room_after(&self, offset: u64) -> usize {
        usize::try_from(room(self.current.bytes, offset)).unwrap_or(usize::MAX)
    }

    /// Returns the same space in a new segment.
    fn room_of_new(&self) -> usize {
        usize::try_from(room(self.pool.segment_bytes(), PAGE as u64)).unwrap_or(usize::MAX)
    }

    fn fits(&self, body: usize) -> bool {
        frame_len(body) <= self.room()
    }

    /// Reports whether a commit goes into the next segment in one piece, rather than being split to
    /// fill up this one.
    fn is_small(&self, body: usize) -> bool {
        frame_len(body) <= self.room_of_new() / 4
    }

    fn segments_wanted(&self, body: usize) -> usize {
        if self.fits(body) {
            0
        } else if self.is_small(body) {
            1
        } else {
            // At most one more than needed, if nothing fits into the current one.
            body.div_ceil(body_limit(self.room_of_new()).max(1)) + 1
        }
    }

    fn append_in_parts(
        &mut self,
        batch: &Batch,
        time: Timestamp,
        replaces: impl Fn(usize) -> u64,
        mut head: Head,
    ) -> Result<()> {
        // Each part is alone in the buffer.
        self.flush()?;
        frame::begin(&mut self.buffer);
        encode::<Error>(batch, time, replaces, |mut piece| {
            loop {
                let filled = self.buffer.len() - HEADER_LEN;
                let space = body_limit(self.room_after(self.offset)).saturating_sub(filled);
                let (now, rest) = piece.split_at_checked(space).unwrap_or((piece, &[]));
                self.buffer.extend_from_slice(now);
                if rest.is_empty() {
                    return Ok(());
                }
                self.seal(0, head);
                self.flush()?;
                self.rotate(head.synced)?;
                frame::begin(&mut self.buffer);
                head = Head { kind: Kind::Middle, part: head.part + 1, ..head };
                piece = rest;
            }
        })?;
        self.seal(0, Head { kind: Kind::Last, ..head });
        Ok(())
    }

    /// Completes the frame that starts at `start` in the buffer.
    fn seal(&mut self, start: usize, head: Head) {
        let place = Place { segment: self.current.id, offset: self.offset + start as u64 };
        frame::seal(&mut self.buffer, start, head, place);
        debug_assert_eq!(
            frame::open(self.buffer.get(start..).unwrap_or_default(), place).map(|frame| frame.head),
            Some(head)
        );
        self.noted = self.noted.max(head.synced);
    }

    fn rotate(&mut self, synced: u64) -> Result<()> {
        let next = self.pool.take()?;
        self.rotate_to(next, synced)
    }

    /// Ends the current segment and continues in `next`.
    pub(super) fn rotate_to(&mut self, next: Segment, synced: u64) -> Result<()> {
        self.announce_last(synced);
        let start = frame::begin(&mut self.buffer);
        self.buffer.extend_from_slice(&next.id.to_le_bytes());
        self.seal(start, Head { kind: Kind::Next, seq: self.last.seq, synced, part: 0 });
        self.flush()?;
        let full = std::mem::replace(&mut self.current, next);
        self.sealed_bytes += full.bytes;
        self.sealed.push_back(Sealed { slot: full.slot, until: self.last.seq + 1, bytes: full.bytes });
        self.unsynced.push(full.file);
        self.offset = PAGE as u64;
        self.says = Some(self.pool.epoch());
        Ok(())
    }
}

/// Returns the maximum body of a frame within `room` bytes.
fn body_limit(room: usize) -> usize {
    (room / frame::ALIGN * frame::ALIGN).saturating_sub(HEADER_LEN)
}
