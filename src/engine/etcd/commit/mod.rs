//! Commits of any size.

pub(super) mod attempt;
pub(super) mod large;
pub(super) mod pending;
pub(super) mod restore;
