//! The commands for a store that no program has open: verify, salvage, backup, restore, compact.
//!
//! Uses `procstate::recovery` only; nothing here changes the store it reads.

pub(crate) mod recover;
pub(super) mod salvage;
pub(super) mod verify;
