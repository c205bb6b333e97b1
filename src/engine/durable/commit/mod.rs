//! The commit path: checks preconditions, orders commits, writes and syncs the log.
//!
//! It owns the log's writer (one at a time, behind a lock), the queue of commits that wait for it,
//! group commit, back-pressure, and the SYNCED file. It reads the index to check preconditions, and
//! puts commits into the memtable. It never changes the index, and waits for a checkpoint only
//! before it takes a lock. The checkpointer asks it to freeze the memtable, to sync, and to release
//! log (`log_control`).

mod back_pressure;
mod commit_delay;
mod group_commit;
mod log_control;
mod path;
mod preconditions;
mod queue;
mod synced_note;
mod version_cache;
mod write_group;
mod writer;

#[cfg(test)]
pub(crate) use group_commit::GroupCommit;
pub(crate) use log_control::Frozen;
pub(crate) use path::CommitPath;
