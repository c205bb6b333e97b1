//! The read-only pages: all processes, a process, its items, an item.
//!
//! Each fills in a template; nothing here changes the store.

pub(super) mod chart;
pub(super) mod counted;
pub(super) mod item;
pub(super) mod items;
pub(super) mod overview;
pub(super) mod process;
pub(super) mod process_summary;
