//! Views of a process at one point in time: the whole process, summary, pages, history.
//!
//! Reads only.

pub(super) mod counts;
pub(super) mod history;
pub(super) mod page;
pub(super) mod summary;
pub(super) mod whole;
