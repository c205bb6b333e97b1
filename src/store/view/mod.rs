//! What a process looks like at one point in time: in full, at a glance, by pages, item by
//! item, its past runs.
//!
//! Reads only.

pub(super) mod counts;
pub(super) mod history;
pub(super) mod items;
pub(super) mod page;
pub(super) mod summary;
pub(super) mod whole;
