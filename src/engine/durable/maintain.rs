//! What is done behind the commits: syncs, checkpoints, snapshots. The threads call
//! this; so do tests, which have no threads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::base::Base;
use super::checkpoint::Checkpoint;
use super::memtable::{Generation, Readers};
use super::shared::{Ground, Shared};
use super::wal::FrameKind;
use crate::error::{Error, Result};
use crate::record::Position;
use crate::sync::Ordering;

/// What a checkpoint takes on the disk: this much, and so many times the memory of
/// what it writes.
const ROOM_BYTES: u64 = 2 << 20;
const ROOM_FACTOR: u64 = 2;

/// How often a checkpoint looks whether the readers are gone that it waits for.
const LOOK: Duration = Duration::from_micros(200);

/// What was frozen, who reads the index without it, and the newest commit in it.
type Frozen = (Arc<Generation>, Arc<Readers>, Position);

impl Shared {
    /// Bounds what a power loss takes, and has a segment ready before it is needed.
    pub(super) fn keep_up(&self) -> Result<()> {
        self.poison.check()?;
        self.sync()?;
        let durable = self.synced.done();
        {
            let mut writer = self.lock_writer()?;
            // Said in the log, damage to what was synced is told from a torn tail.
            if writer.log.noted() < durable && writer.log.last_seq() == durable {
                self.poison.on_error(writer.log.mark(FrameKind::Mark, durable))?;
            }
        }
        self.note_synced(self.position(durable));
        if self.is_disk_full.load(Ordering::Acquire) {
            // There may be space again.
            self.checkpoints.work();
        }
        match self.pool.prepare(1).map_err(Error::before_writing) {
            // Who needs it will say so.
            Err(error) if error.is_disk_full() => Ok(()),
            prepared => self.poison.on_error(prepared),
        }
    }

    /// Writes the checkpoint and the snapshot that are due.
    pub(super) fn maintain(&self) -> Result<()> {
        self.with_base(|base| {
            let mut ground = self.ground.lock();
            let done = self.checkpoint(base, &mut ground).and_then(|()| {
                if !self.is_snapshot_due(&ground) {
                    return Ok(());
                }
                self.snapshot(base, &mut ground, &|| self.checkpoints.is_stopped())
            });
            // Commits that wait do so for this.
            let writer = self.writer.lock();
            self.set_pressure(&writer, &self.memtable.read().active);
            // Whatever it was, damage included: the index is not what it should be.
            done.inspect_err(|error| self.poison.poison(error))
        })
    }

    /// Whether the disk has room for a checkpoint. One that failed halfway would stop
    /// the store; without it reading goes on, and writing as long as memory and log
    /// suffice.
    fn has_room(&self) -> Result<bool> {
        let wanted = ROOM_BYTES + ROOM_FACTOR * self.memtable.read().active.bytes() as u64;
        let is_full = self.parts.log.disk.free_bytes(&self.parts.log.dir)? < wanted;
        if self.is_disk_full.swap(is_full, Ordering::AcqRel) != is_full && is_full {
            tracing::warn!(dir = %self.parts.log.dir.display(), "the disk has no room for a checkpoint");
        }
        Ok(!is_full)
    }

    /// Brings the index up to the newest commit, if there is room for that.
    pub(super) fn checkpoint(&self, base: &dyn Base, ground: &mut Ground) -> Result<()> {
        if !self.has_room()? {
            return Ok(());
        }
        let Some((frozen, readers, upto)) = self.freeze()? else { return Ok(()) };
        // The index never has what the log could lose.
        self.sync_to(upto.seq)?;
        self.wait_for(readers)?;
        let began = Instant::now();
        let applying = self.applying.write();
        let (from, leftover) = (ground.applied, ground.leftover);
        // Who closes the store waits for this, and so do commits under pressure.
        let is_alone = || self.checkpoints.is_stopped() || self.pressure.is_high();
        Checkpoint { generation: &frozen, from, to: upto, leftover, is_alone: &is_alone }.apply(base)?;
        ground.applied = upto.seq;
        ground.leftover = 0;
        let writer = self.writer.lock();
        let mut memtable = self.memtable.write();
        let thawed = memtable.thaw();
        self.judge_pressure(&writer, &memtable.active);
        drop((memtable, writer, applying));
        let mut figures = self.figures.lock();
        figures.checkpoint_seq = upto.seq;
        figures.checkpoints += 1;
        figures.checkpoint_time = began.elapsed();
        drop(figures);
        // Outside of the locks: this may free a lot of memory.
        drop((thawed, frozen));
        self.note(upto)
    }

    pub(super) fn freeze(&self) -> Result<Option<Frozen>> {
        let mut writer = self.lock_writer()?;
        let mut memtable = self.memtable.write();
        if memtable.active.is_empty() {
            return Ok(None);
        }
        writer.frozen_at = writer.log.written();
        let (frozen, readers) = memtable.freeze();
        Ok(Some((frozen, readers, self.position(self.last_seq.load(Ordering::Acquire)))))
    }

    /// Waits for those who read the index without what was frozen.
    fn wait_for(&self, mut readers: Arc<Readers>) -> Result<()> {
        while Arc::get_mut(&mut readers).is_none() {
            self.poison.check()?;
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    fn is_snapshot_due(&self, ground: &Ground) -> bool {
        let is_new = ground.snapshot.as_ref().is_none_or(|snapshot| snapshot.seq < ground.applied);
        let is_much = || self.writer.lock().log.retained() >= self.snapshot_at.load(Ordering::Acquire);
        is_new && (self.snapshot_due.load(Ordering::Acquire) || is_much())
    }

    /// Writes a snapshot of the index, which nobody else changes, and lets go of the
    /// log before it; unless `stop` says so first.
    pub(super) fn snapshot(
        &self,
        base: &dyn Base,
        ground: &mut Ground,
        stop: &dyn Fn() -> bool,
    ) -> Result<()> {
        let began = Instant::now();
        let written = self.parts.snapshots.write(base, stop);
        let snapshot = match written.map_err(Error::before_writing) {
            Ok(Some(snapshot)) => snapshot,
            Ok(None) => return Ok(()),
            Err(error) if error.is_disk_full() => {
                tracing::warn!(%error, "no snapshot was written");
                return self.postpone_snapshot();
            }
            Err(error) => return Err(error),
        };
        let seq = snapshot.seq;
        self.set_snapshot(ground, Some(snapshot));
        self.snapshot_due.store(false, Ordering::Release);
        let mut figures = self.figures.lock();
        figures.snapshots += 1;
        figures.snapshot_time = began.elapsed();
        drop(figures);
        self.writer.lock().log.release(seq);
        self.pool.trim(self.options.free_files_max())
    }

    /// Without a snapshot the log has everything all the same: it grows, until there
    /// is space again or none at all.
    fn postpone_snapshot(&self) -> Result<()> {
        let retained = self.writer.lock().log.retained();
        self.snapshot_at.store(2 * retained.max(self.options.snapshot_log_bytes), Ordering::Release);
        self.log_bytes_max.store(u64::MAX, Ordering::Release);
        self.parts.snapshots.tidy()
    }
}
