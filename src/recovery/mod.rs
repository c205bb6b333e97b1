//! Recovery: what can be done with a store that no program has open, down to one
//! that does not open any more.
//!
//! Nothing here changes the store it is called for, but for [`compact`] and
//! [`remove_damaged`], which say so. What is made anew is made under another name,
//! verified, and renamed when it is complete.
//!
//! `docs/recovery.md` is the runbook for operators; the tool `procstate` has a
//! command for each of these.

mod changes;
mod compact;
mod draft;
mod log;
mod offline;
mod restore;
mod sound;

pub use compact::{Compacted, compact, remove_damaged};
pub use log::{LogChange, LogCommit, LogEntry, read_log};
pub use restore::{Restored, Until, restore};
#[cfg(any(test, fuzzing))]
pub(crate) use sound::open_record;
