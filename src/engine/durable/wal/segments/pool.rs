//! The pool of log files. A file holds one segment at a time, and is recycled once that segment is
//! released.
//!
//! Each file is filled with zeroes once, so that writing and syncing a segment changes no metadata
//! of the file system.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use super::slot::{Slot, Stock, path_of};
use super::zeroes::write_zeroes;
use crate::disk::{Disk, DiskFile};
use crate::engine::durable::wal::format::{Header, PAGE};
use crate::engine::durable::wal::log_files::LogFiles;
use crate::error::Result;
use crate::record::Epoch;
use crate::sync::Mutex;

/// A segment that is ready for frames: its header is durable.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) id: u64,
    pub(crate) slot: Slot,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) bytes: u64,
}

#[derive(Debug)]
pub(crate) struct Pool {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dir: PathBuf,
    store: [u8; 16],
    segment_bytes: u32,
    /// The epoch of this opening.
    epoch: Epoch,
    /// Locked while a segment is prepared; callers that need one wait for it.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    stock: Stock,
    prepared: VecDeque<Segment>,
}

/// Returns the id of a new segment, greater than all before.
///
/// Ids are unique even across erased segments: the counter in the upper half may repeat, but then
/// the random lower half differs.
fn id_after(newest: u64) -> u64 {
    (((newest >> 32) + 1) << 32) | u64::from(fastrand::u32(..))
}

impl Pool {
    pub(crate) fn new(files: &LogFiles, stock: Stock) -> Self {
        let LogFiles { disk, dir, store, segment_bytes, epoch } = files.clone();
        let state = Mutex::new(State { stock, prepared: VecDeque::new() });
        Self { disk, dir, store, segment_bytes, epoch, state }
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(crate) fn segment_bytes(&self) -> u64 {
        self.segment_bytes.into()
    }

    /// Prepares segments until `count` of them can be taken without waiting for the disk.
    pub(crate) fn prepare(&self, count: usize) -> Result<()> {
        let mut state = self.state.lock();
        while state.prepared.len() < count {
            let segment = self.make(&mut state.stock)?;
            state.prepared.push_back(segment);
        }
        Ok(())
    }

    pub(crate) fn take(&self) -> Result<Segment> {
        let mut state = self.state.lock();
        match state.prepared.pop_front() {
            Some(segment) => Ok(segment),
            None => self.make(&mut state.stock),
        }
    }

    /// Creates a segment in a new file of this length.
    pub(crate) fn take_of(&self, bytes: u32) -> Result<Segment> {
        self.make_new(&mut self.state.lock().stock, bytes)
    }

    /// Takes back the files of segments that are no longer needed.
    pub(crate) fn release(&self, slots: impl IntoIterator<Item = Slot>) {
        self.state.lock().stock.free.extend(slots);
    }

    /// Deletes free files beyond `keep`.
    pub(crate) fn trim(&self, keep: usize) -> Result<()> {
        let mut state = self.state.lock();
        while state.stock.free.len() > keep {
            let Some(slot) = state.stock.free.pop() else { break };
            self.disk.remove(&path_of(&self.dir, slot))?;
        }
        Ok(())
    }

    /// Deletes every file that holds no segment in use.
    pub(crate) fn delete_unused(&self) -> Result<()> {
        let prepared = std::mem::take(&mut self.state.lock().prepared);
        self.release(prepared.into_iter().map(|segment| segment.slot));
        self.trim(0)
    }

    /// Returns the size of files without a segment in use.
    pub(crate) fn unused_bytes(&self) -> u64 {
        let state = self.state.lock();
        (state.stock.free.len() + state.prepared.len()) as u64 * self.segment_bytes()
    }

    fn make(&self, stock: &mut Stock) -> Result<Segment> {
        let Some(&slot) = stock.free.last() else { return self.make_new(stock, self.segment_bytes) };
        let id = id_after(stock.newest);
        let file = self.reuse(slot, id)?;
        stock.free.pop();
        stock.newest = id;
        stock.next_slot = stock.next_slot.max(slot + 1);
        Ok(Segment { id, slot, file, bytes: self.segment_bytes() })
    }

    fn make_new(&self, stock: &mut Stock, bytes: u32) -> Result<Segment> {
        let (id, slot) = (id_after(stock.newest), stock.next_slot);
        let file = self.create(slot, id, bytes)?;
        (stock.newest, stock.next_slot) = (id, slot + 1);
        Ok(Segment { id, slot, file, bytes: bytes.into() })
    }

    fn reuse(&self, slot: Slot, id: u64) -> Result<Arc<dyn DiskFile>> {
        let file = self.disk.open(&path_of(&self.dir, slot))?;
        if file.len()? != self.segment_bytes() {
            return self.create(slot, id, self.segment_bytes);
        }
        file.write_at(&self.header(id, self.segment_bytes, false), 0)?;
        file.sync()?;
        Ok(file)
    }

    fn create(&self, slot: Slot, id: u64, bytes: u32) -> Result<Arc<dyn DiskFile>> {
        let path = path_of(&self.dir, slot);
        let file = self.disk.create(&path)?;
        let filled = self.fill(&*file, id, bytes).and_then(|()| self.disk.sync_dir(&self.dir));
        if filled.is_err() {
            // A partial file is useless, and may be what fills the disk.
            let _ = self.disk.remove(&path);
        }
        filled.map(|()| file)
    }

    fn fill(&self, file: &dyn DiskFile, id: u64, bytes: u32) -> Result<()> {
        file.write_at(&self.header(id, bytes, true), 0)?;
        write_zeroes(file, PAGE as u64, bytes.into())?;
        file.sync()
    }

    fn header(&self, segment: u64, segment_bytes: u32, is_fresh: bool) -> Vec<u8> {
        let (store, epoch) = (self.store, Some(self.epoch));
        Header { store, segment, segment_bytes, epoch, is_fresh }.encode()
    }
}
