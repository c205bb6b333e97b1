//! The checkpointer: brings the index up to the commits, writes snapshots, releases log.
//!
//! It owns what is known of the index (the commit up to which it has everything, the newest
//! snapshot), and of an open store it alone changes the index. It asks the commit path to
//! freeze the memtable, to sync the log, and to release the segments that a snapshot covers.
//! It takes its own locks before those of the commit path.

mod apply;
mod backup;
mod browse;
mod checkpointer;
mod compact;
mod finish;
mod maintain;
mod snapshot;
mod statistics;

pub(crate) use apply::Checkpoint;
pub(crate) use checkpointer::Checkpointer;
