//! The owner's view: claim a process, work through its items, finish.
//!
//! Every write of a run is fenced: it carries the precondition that the owner
//! record still has the version that the claim gave it. Who lost the process
//! learns so at its next write, and none of its later writes lands.

mod claim;
#[cfg(test)]
mod claim_model;
mod core;
mod cursor;
mod handle;
mod heartbeat;
mod in_flight;
mod instance;
mod item;
#[cfg(test)]
mod lease_model;
mod limit;
mod owed;
mod progress;
mod state;
mod turn;

pub use claim::{Claim, ClaimOptions, Origin};
pub use handle::Run;
pub(crate) use handle::Turned;
pub use instance::Instance;
pub(crate) use item::Ending;
pub use item::WorkItem;
pub use limit::FailureLimit;
pub use progress::{Loss, Progress};
