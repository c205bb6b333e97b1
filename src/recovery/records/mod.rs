//! The records found in files: their validity, their newest versions, and the rules between them.
//!
//! Works on bytes and keys; opens no file.

pub(super) mod changes;
pub(super) mod lists;
pub(super) mod names;
pub(super) mod owners;
pub(super) mod validate;
