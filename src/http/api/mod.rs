//! The endpoints of the JSON API, a file for each kind of resource.
//!
//! Each parses a request with [`super::exchange`], calls the public API of the library, and returns
//! canonical protobuf JSON.

pub(super) mod actions;
pub(super) mod health;
pub(super) mod metrics;
pub(super) mod openapi;
pub(super) mod params;
pub(super) mod processes;
pub(super) mod settings;
pub(super) mod work;
