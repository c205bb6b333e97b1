//! The pages that change something, each of which asks for confirmation or shows what will be
//! stored.
//!
//! Each fills in a template and posts to a route of its own.

pub(super) mod actions;
pub(super) mod params;
pub(super) mod register;
pub(super) mod settings;
