//! Views of a process at one point in time: the whole process, summary, pages, items, history.
//!
//! Reads only.

pub(super) mod counts;
pub(super) mod history;
pub(super) mod items;
pub(super) mod page;
pub(super) mod summary;
pub(super) mod whole;
