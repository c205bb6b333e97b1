//! Tests of the engine as a whole, on a simulated disk.

mod crashes;
mod interleavings;
pub(crate) mod sim;
