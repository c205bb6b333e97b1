//! The checkpointer: brings the index up to the commits, writes snapshots, releases log.
//!
//! It owns what is known of the index (the commit up to which it has everything, the newest
//! snapshot) and is the only part that changes the index of an open store. It asks the commit
//! path to freeze the memtable, to sync the log, and to release segments that a snapshot
//! covers. It takes its own locks before those of the commit path.

mod apply;
mod backup;
mod browse;
mod checkpointer;
mod close;
mod compact;
mod statistics;

pub(crate) use apply::Checkpoint;
pub(crate) use statistics::Statistics;
