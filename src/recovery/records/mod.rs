//! The records found in files: whether each is valid, which is newest, and the rules that hold
//! between them.
//!
//! Works on bytes and keys; opens no file.

pub(super) mod changes;
pub(super) mod lists;
pub(super) mod names;
pub(super) mod owners;
pub(super) mod validate;
