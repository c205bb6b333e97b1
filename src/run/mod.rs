//! The owner's view: claim a process, work through its items, finish.
//!
//! Every write of a run is fenced: it has the precondition that the owner record still has the
//! version of the run's claim. An instance that lost the process learns so at its next write, and
//! none of its later writes succeeds.

mod advance;
mod claim;
#[cfg(test)]
mod claim_model;
mod deferred;
mod ending;
mod fenced;
mod handle;
mod item;
#[cfg(test)]
mod lease_model;
mod progress;
mod state;
mod writing;

pub use claim::Claim;
pub use claim::instance::Instance;
pub use claim::options::ClaimOptions;
pub use claim::origin::Origin;
pub(crate) use handle::Advanced;
pub use handle::Run;
pub(crate) use item::Ending;
pub use item::WorkItem;
pub use progress::{Loss, Progress};
