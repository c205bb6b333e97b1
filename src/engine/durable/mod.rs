//! The durable engine: a write-ahead log, a memtable, and an index that is brought
//! up to date behind the commits.
//!
//! ```text
//! commit -> log (write, and fdatasync if Synced) -> memtable -> acknowledged
//!                                                      |
//!                         checkpoint, in the background v
//!             snapshot  <-  index at `applied`  <-  newest state of each key
//! ```
//!
//! - **A commit** checks its preconditions, appends one entry to the log and puts
//!   its records into the memtable, under one lock that makes the order. Who gets the
//!   lock makes the commits of those who wait for it too, in one write. Syncs are shared
//!   by all who wait for one.
//! - **Reads** ask the memtable first, then the index. A scan takes a view of the
//!   memtable, which costs nothing and stands still; what a checkpoint changes in
//!   the index is what the view has itself.
//! - **A checkpoint** freezes the memtable, syncs the log up to there, waits for
//!   readers without the frozen part, and puts it into the index in bounded
//!   transactions, or batches where the index has nothing to replace. Each checks that the index is where the last checkpoint left it,
//!   and that an owner record is replaced by its successor only. Then the manifest
//!   notes how far index and log have everything.
//! - **A snapshot** is an archive of the index between two checkpoints. Log that it
//!   covers is let go of: snapshot and log are always complete.
//! - **What is synced** is noted outside of the log, too, by the thread that syncs: a log that
//!   ends before that lost something.
//! - **An epoch** is drawn by each opening, and the log says of each commit by which one it
//!   was written: what goes another way than the log, in a copy of the store, is told from it.
//! - **Opening** reads the log after `applied` and judges its end; an index that is
//!   missing, damaged or behind is rebuilt from snapshot and log.
//! - **A failed write or sync** stops the store for good. A disk that is full before
//!   anything was written does not.
//!
//! `docs/durability.md` says what that promises, `docs/format.md` what the files
//! hold.

mod checkpoint;
mod commit;
mod engine;
mod memtable;
mod open;
mod options;
mod poison;
mod read;
mod report;
mod shared;
mod signal;
mod storage;
#[cfg(test)]
mod tests;
mod threads;
pub(crate) mod wal;

#[cfg(test)]
pub(crate) use commit::GroupCommit;
pub(crate) use engine::DurableEngine;
pub(crate) use open::{create, policy};
pub use options::Recovery;
pub(crate) use options::{Options, SEGMENT_BYTES_MIN};
pub use report::{OpenReport, Rebuilt, TornTail};
pub(crate) use storage::{Snapshot, Snapshots};
