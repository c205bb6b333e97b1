//! The files of a closed store: the store they belong to, their content, and the new store that a
//! recovery writes.
//!
//! Reads the damaged store and never writes to it; only [`new_store`] creates files.

pub(super) mod identity;
pub(super) mod index_copy;
pub(super) mod inspection;
pub(super) mod new_store;
pub(super) mod offline;
