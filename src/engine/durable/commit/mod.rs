//! The commit path: checks preconditions, orders commits, writes and syncs the log.
//!
//! It owns the log's writer (one at a time, behind a lock), the queue of commits that wait for
//! it, group commit, back-pressure, and the note of what is synced. It may read the index, to
//! check preconditions, and writes the memtable. It never changes the index, and never waits
//! for a checkpoint while it holds a lock.

mod back_pressure;
mod group_commit;
mod preconditions;
mod queue;
mod submit;
mod synced_note;
mod version_cache;
mod write_group;

pub(crate) use back_pressure::BackPressure;
pub(crate) use group_commit::GroupCommit;
pub(crate) use queue::WriteQueue;
pub(crate) use synced_note::SyncedTracker;
pub(crate) use version_cache::VersionCache;
pub(crate) use write_group::StagedCommit;
