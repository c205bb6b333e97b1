//! The checkpointer: brings the index up to the commits, writes snapshots, releases log.
//!
//! It owns the state of the index (its last commit, the newest snapshot), and while a store is open
//! only it changes the index. It asks the commit path to freeze the memtable, to sync the log, and
//! to release the segments that a snapshot covers. It takes its own locks before those of the
//! commit path.

mod apply;
mod backup;
mod browse;
mod checkpointer;
mod compact;
mod finish;
mod maintain;
mod snapshot;
mod statistics;
mod verify;

pub(crate) use apply::Checkpoint;
pub(crate) use checkpointer::Checkpointer;
