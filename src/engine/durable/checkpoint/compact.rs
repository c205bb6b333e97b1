//! Compaction: rebuilds a grown index, and releases unneeded log, where that saves space.

use std::ops::ControlFlow;

use bytes::Bytes;

use super::checkpointer::{CheckpointState, Checkpointer};
use crate::engine::durable::options::SEGMENT_BYTES_MIN;
use crate::engine::durable::storage::{Change, IndexBackend, Steps};
use crate::error::{Error, Failure, Result};

impl Checkpointer {
    /// Rebuilds the index, and releases the log that a snapshot covers; closes the index.
    ///
    /// `was_closed` tells that the index had every commit when the store was opened. If this is
    /// interrupted, the next opening completes it.
    pub(crate) fn compact(&self, index: Box<dyn IndexBackend>, was_closed: bool) -> Result<()> {
        let shared = &self.shared;
        let mut state = self.state.lock();
        let is_unchanged = shared.memtable.read().active.is_empty() && was_closed;
        self.checkpoint(&*index, &mut state)?;
        self.shorten_log(&*index, &mut state)?;
        let new = shared.files.index_dir.begin()?;
        copy(&*index, &*new)?;
        new.close()?;
        index.close()?;
        shared.files.index_dir.adopt_smaller(is_unchanged)?;
        shared.files.index_dir.note(shared.position(state.applied), shared.writers())?;
        shared.files.index_dir.release();
        Ok(())
    }

    /// Releases log with a new snapshot, if that is smaller.
    ///
    /// Without a snapshot all of the log is needed.
    fn shorten_log(&self, index: &dyn IndexBackend, state: &mut CheckpointState) -> Result<()> {
        let snapshot = state.snapshot.as_ref();
        if snapshot.is_none_or(|snapshot| snapshot.seq < state.applied) {
            let now = self.commits.log_file_bytes() + snapshot.map_or(0, |snapshot| snapshot.bytes);
            let is_worth = |bytes| bytes + self.commits.segment_bytes() < now;
            let written =
                self.shared.files.snapshots.write_if(index, is_worth).map_err(Error::before_writing);
            match written.map_err(|error| self.without_room(error))? {
                Some(written) => self.set_snapshot(state, Some(written)),
                None => return self.close_shortened(),
            }
        }
        self.commits.delete_free_files()?;
        self.commits.shorten_log(SEGMENT_BYTES_MIN)?;
        self.close_shortened()?;
        // The log remains valid without these segments.
        self.commits.release_log(state.applied);
        self.commits.delete_free_files()
    }

    fn close_shortened(&self) -> Result<()> {
        self.commits.close_log()?;
        self.commits.delete_free_files()
    }

    fn without_room(&self, error: Error) -> Error {
        let files = &self.shared.files;
        let dir = &files.snapshots.dir;
        let free = files.log.disk.free_bytes(dir);
        let (true, Ok(free)) = (error.is_disk_full(), free) else { return error };
        let why = format!(
            "its folder has no space for a snapshot: {free} bytes are free. No commit is lost; free some space and compact it again"
        );
        Failure::Storage { place: format!("store {}", dir.display()), action: "be compacted", why }.into()
    }
}

/// Copies the content of an index into an empty one.
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
        format!("it holds {} records instead of {}, or different ones", copied.records, contents.records);
    Err(Failure::Corrupt { place: "the index".to_owned(), why }.into())
}
