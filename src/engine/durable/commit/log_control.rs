//! Operations of the commit path for the checkpointer and the background threads: freezing the
//! memtable, releasing log, periodic syncs.

use std::sync::Arc;

use super::path::CommitPath;
use crate::engine::Stats;
use crate::engine::durable::memtable::{Generation, Readers};
use crate::engine::durable::wal::FrameKind;
use crate::error::{Error, Result};
use crate::record::Position;

/// A frozen generation of the memtable, which gets no more commits.
#[derive(Debug)]
pub(crate) struct Frozen {
    pub(crate) generation: Arc<Generation>,
    /// Held by readers of the index that do not see this generation.
    pub(crate) readers: Arc<Readers>,
    /// The newest commit in it.
    pub(crate) upto: Position,
}

impl CommitPath {
    /// Limits what a power loss takes, and prepares segments ahead of time.
    pub(crate) fn keep_up(&self) -> Result<()> {
        let poison = &self.shared.poison;
        poison.check()?;
        if self.back_pressure.is_verifying() {
            return Ok(());
        }
        self.sync()?;
        let durable = self.durable_seq();
        {
            let mut writer = self.lock_writer()?;
            // A frame that records what is synced distinguishes its damage from a torn tail.
            if writer.log.noted() < durable && writer.log.last_seq() == durable {
                poison.on_error(writer.log.mark(FrameKind::Mark, durable))?;
            }
        }
        self.note_synced(self.shared.position(durable));
        if self.back_pressure.is_disk_full() {
            // There may be space again.
            self.shared.checkpoint_thread.work();
        }
        match self.pool.prepare(1).map_err(Error::before_writing) {
            // The commit that needs it reports this.
            Err(error) if error.is_disk_full() => Ok(()),
            prepared => poison.on_error(prepared),
        }
    }

    /// Records in SYNCED that the log is durable up to `position`.
    pub(crate) fn note_synced(&self, position: Position) {
        self.synced_note.note(position);
    }

    /// Wakes the tasks that wait for a sync, which then check again.
    pub(crate) fn wake_tasks(&self) {
        self.group_commit.wake_tasks();
    }

    /// Freezes the memtable; `None` if it is empty.
    pub(crate) fn freeze(&self) -> Result<Option<Frozen>> {
        let mut writer = self.lock_writer()?;
        let mut memtable = self.shared.memtable.write();
        if memtable.active.is_empty() {
            return Ok(None);
        }
        writer.frozen_at = writer.log.written();
        let (generation, readers) = memtable.freeze();
        let upto = self.shared.position(self.shared.last_seq());
        Ok(Some(Frozen { generation, readers, upto }))
    }

    /// Drops the frozen generation, which the index has; returns it so that the caller frees its
    /// memory outside of the locks.
    pub(crate) fn drop_frozen(&self) -> Option<Arc<Generation>> {
        let writer = self.writer.lock();
        let mut memtable = self.shared.memtable.write();
        let frozen = memtable.drop_frozen();
        self.judge_backlog(&writer, &memtable.active);
        frozen
    }

    /// Wakes the checkpointer if it has work, and makes commits wait or continue.
    pub(crate) fn judge(&self) {
        self.judge_backlog(&self.writer.lock(), &self.shared.memtable.read().active);
    }

    /// Makes commits wait or continue.
    pub(crate) fn update_back_pressure(&self) {
        let writer = self.writer.lock();
        let backlog = writer.backlog(&self.shared.memtable.read().active);
        self.back_pressure.update(&backlog, &self.shared.options);
    }

    /// Lets commits continue after the verification of the store.
    pub(crate) fn end_verification(&self) {
        self.back_pressure.set_verifying(false);
        self.update_back_pressure();
    }

    /// Sets the amounts of log at which a snapshot is due and commits wait.
    pub(crate) fn set_log_limits(&self, snapshot_at: u64, log_bytes_max: u64) {
        self.back_pressure.set_log_limits(snapshot_at, log_bytes_max);
    }

    /// Reports whether the log has outgrown the state.
    pub(crate) fn is_snapshot_due(&self) -> bool {
        self.back_pressure.is_snapshot_due(self.retained_log())
    }

    /// Sets whether checkpoints lack disk space, in which case commits fail instead of waiting;
    /// returns the previous value.
    pub(crate) fn set_disk_full(&self, is_full: bool) -> bool {
        self.back_pressure.set_disk_full(is_full)
    }

    /// Returns the bytes of log that no snapshot covers.
    pub(crate) fn retained_log(&self) -> u64 {
        self.writer.lock().log.retained()
    }

    /// Returns the bytes of the segments in use, and of the last of them, up to the end of the log.
    pub(crate) fn log_in_use(&self) -> (u64, u64) {
        let writer = self.writer.lock();
        (writer.log.in_use(), writer.log.segment_end())
    }

    /// Returns the total size of the log files in use.
    pub(crate) fn log_file_bytes(&self) -> u64 {
        self.writer.lock().log.file_bytes()
    }

    pub(crate) fn segment_bytes(&self) -> u64 {
        self.pool.segment_bytes()
    }

    /// Releases the segments that a snapshot of everything up to the commit `seq` covers.
    pub(crate) fn release_log(&self, seq: u64) {
        self.writer.lock().log.release(seq);
    }

    /// Deletes free files beyond those that the log will use soon.
    pub(crate) fn trim_free_files(&self) -> Result<()> {
        self.pool.trim(self.shared.options.free_files_max())
    }

    pub(crate) fn delete_free_files(&self) -> Result<()> {
        self.pool.delete_unused()
    }

    /// Continues in a segment of `bytes`, if the current one is longer.
    ///
    /// If this fails because the disk is full, nothing was written.
    pub(crate) fn shorten_log(&self, bytes: u32) -> Result<()> {
        let mut writer = self.writer.lock();
        if writer.log.segment_len() <= bytes.into() {
            return Ok(());
        }
        let next = self.pool.take_of(bytes).map_err(Error::before_writing)?;
        writer.log.continue_in(next, self.durable_seq())
    }

    /// Shortens the last file of a closed log to what it needs.
    pub(crate) fn shrink_log(&self) -> Result<()> {
        self.writer.lock().log.shrink()
    }

    /// Appends a frame that the whole log is durable, and records it in SYNCED.
    pub(crate) fn close_log(&self) -> Result<()> {
        let mut writer = self.writer.lock();
        writer.log.close()?;
        let last = writer.log.last();
        drop(writer);
        self.note_synced(last);
        Ok(())
    }

    /// Adds the statistics of the log; returns the total size of its files.
    pub(crate) fn add_statistics(&self, stats: &mut Stats) -> u64 {
        stats.synced_seq = self.durable_seq();
        let writer = self.writer.lock();
        stats.log_segments = writer.log.segments() as u64;
        stats.log_bytes = writer.log.retained();
        stats.log_written_bytes = writer.log.written();
        let in_use = writer.log.file_bytes();
        drop(writer);
        stats.log_free_bytes = self.pool.unused_bytes();
        in_use + stats.log_free_bytes
    }
}
