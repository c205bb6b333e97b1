//! Scans a log from its oldest segment on.

mod found;
mod survey;
mod walk;
mod walker;

pub(crate) use found::{Found, Spot, Visitor};
#[cfg(test)]
pub(crate) use survey::Behind;
pub(crate) use survey::{Broken, HarmlessDamage, LogDamage, LogEnd, Run, Survey, Visited, own_segments};
pub(crate) use walk::{read_behind, survey, walk};
