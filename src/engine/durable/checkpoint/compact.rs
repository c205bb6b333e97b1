//! Compacting: a new index in place of the one that has grown, and no more log
//! than is needed. What would take more than there is stays as it is.

use std::ops::ControlFlow;

use bytes::Bytes;

use crate::engine::durable::shared::{CheckpointState, Shared};
use crate::engine::durable::storage::{Change, IndexBackend, Steps};
use crate::error::{Error, Failure, Result};

impl Shared {
    /// Makes the index anew, and lets go of log that a snapshot makes superfluous. Closes
    /// the store. Interrupted at any moment, it leaves a store that the next opening
    /// completes.
    pub(crate) fn compact(&self) -> Result<()> {
        let index = self.index.write().take().ok_or(Failure::Closed)?;
        let mut ground = self.ground.lock();
        let is_unchanged = self.memtable.read().active.is_empty() && self.report.replayed == 0;
        self.checkpoint(&*index, &mut ground)?;
        self.shorten_log(&*index, &mut ground)?;
        let new = self.files.index_dir.begin()?;
        copy(&*index, &*new)?;
        new.close()?;
        index.close()?;
        self.files.index_dir.adopt_smaller(is_unchanged)?;
        self.files.index_dir.note(self.position(ground.applied), self.writers())?;
        self.files.index_dir.release();
        Ok(())
    }

    /// Lets go of the log that is superfluous with a new snapshot, if that takes less.
    /// Without it all of the log is needed.
    fn shorten_log(&self, index: &dyn IndexBackend, ground: &mut CheckpointState) -> Result<()> {
        let snapshot = ground.snapshot.as_ref();
        if snapshot.is_none_or(|snapshot| snapshot.seq < ground.applied) {
            let now = self.writer.lock().log.file_bytes() + snapshot.map_or(0, |snapshot| snapshot.bytes);
            let is_worth = |bytes| bytes + self.pool.segment_bytes() < now;
            let written = self.files.snapshots.write_if(index, is_worth).map_err(Error::before_writing);
            match written.map_err(|error| self.without_room(error))? {
                Some(written) => self.set_snapshot(ground, Some(written)),
                None => return self.close_shortened(),
            }
        }
        self.pool.delete_unused()?;
        self.writer.lock().log.shorten(self.synced.done())?;
        self.close_shortened()?;
        // The log says what it is without them.
        self.writer.lock().log.release(ground.applied);
        self.pool.delete_unused()
    }

    fn close_shortened(&self) -> Result<()> {
        self.close_log()?;
        self.pool.delete_unused()
    }

    fn without_room(&self, error: Error) -> Error {
        let dir = &self.files.snapshots.dir;
        let free = self.files.log.disk.free_bytes(dir);
        let (true, Ok(free)) = (error.is_disk_full(), free) else { return error };
        let why = format!(
            "its folder has no room for a snapshot: {free} bytes are free. No commit is lost; make room and compact it again"
        );
        Failure::Storage { place: format!("store {}", dir.display()), action: "be compacted", why }.into()
    }
}

/// Puts all that an index holds into an empty one.
fn copy(from: &dyn IndexBackend, to: &dyn IndexBackend) -> Result<()> {
    let contents = from.contents()?;
    let mut steps = Steps::new(to, 0, &|| true);
    let mut added = Ok(());
    from.scan(&[], &[u8::MAX], &mut |key: &[u8], value: &[u8]| {
        let (key, value) = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
        added = steps.add(Change { key, value: Some(value), owner: None });
        if added.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    added?;
    steps.finish(contents.position())?;
    let copied = to.contents()?;
    if (copied.records, copied.sum) == (contents.records, contents.sum) {
        return Ok(());
    }
    let why =
        format!("it holds {} records, and should hold {}, or other ones", copied.records, contents.records);
    Err(Failure::Corrupt { place: "the index".to_owned(), why }.into())
}
