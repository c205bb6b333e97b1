//! The durable engine: a write-ahead log, a memtable, and an index that is brought up to date
//! behind the commits.
//!
//! ```text
//! commit -> log (write, and fdatasync if Synced) -> memtable -> acknowledged
//!                                                      |
//!                         checkpoint, in the background v
//!             snapshot  <-  index at `applied`  <-  newest state of each key
//! ```
//!
//! | part | owns | uses |
//! |---|---|---|
//! | [`open`] | nothing: it runs before the others exist | storage, log, `checkpoint::Checkpoint` |
//! | [`checkpoint`] | what the index has, the newest snapshot | commit path, storage |
//! | [`commit`] | the end of the log, the queue, group commit, back-pressure | log, memtable |
//! | [`read`] | nothing | memtable, index |
//! | [`storage`] | index, its directory, snapshots, on disk | |
//! | [`wal`] | the segments of the log, on disk | |
//! | [`memtable`] | the newest state of each key that the index lacks | |
//!
//! [`engine`] puts them together, [`threads`] runs what happens in the background, and
//! [`shared`] has the little that all of them need, and the order of the locks.
//!
//! - **A commit** checks its preconditions, appends one entry to the log and puts its records
//!   into the memtable, under the writer lock, which orders commits. The thread that holds the
//!   lock commits every queued batch in one write. One sync serves all commits that wait for
//!   one.
//! - **Reads** ask the memtable first, then the index. A scan takes a view of the memtable,
//!   which costs nothing and never changes; whatever a checkpoint changes in the index, the view
//!   has itself.
//! - **A checkpoint** freezes the memtable, syncs the log up to there, waits for readers that
//!   do not see the frozen part, and puts it into the index in bounded steps. Each step checks
//!   that the index is where the last checkpoint left it, and that an owner record is replaced
//!   by its successor only. Then the manifest notes how far index and log have everything.
//! - **A snapshot** is an archive of the index between two checkpoints. The log that it covers
//!   is released: snapshot and log are always complete.
//! - **What is synced** is noted outside of the log too (in SYNCED), by the thread that syncs:
//!   a log that ends before that lost something.
//! - **An epoch** is drawn by each opening, and the log says of each commit which opening wrote
//!   it. A file that comes from another copy of the store is recognized by that.
//! - **Opening** reads the log after `applied` and judges its end; an index that is missing,
//!   damaged or behind is rebuilt from snapshot and log.
//! - **A failed write or sync** stops the store for good. A disk that is full before anything
//!   was written does not.
//!
//! `docs/durability.md` says what that promises, `docs/format.md` what the files hold.

mod checkpoint;
mod commit;
mod engine;
mod memtable;
mod open;
mod open_index;
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
