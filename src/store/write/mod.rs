//! The operations that change a process, each one batch: work, settings, steering, import,
//! purge.
//!
//! Each operation reads what it depends on, decides by [`crate::model`], and commits through
//! [`super::transaction`], which retries after a concurrent write.

pub(super) mod bulk;
pub(super) mod import;
pub(super) mod merge;
pub(super) mod precondition;
pub(super) mod purge;
pub(super) mod release;
mod run_limits;
pub(super) mod settings;
pub(super) mod steer;
pub(super) mod work;
