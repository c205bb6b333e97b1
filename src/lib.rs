//! An embedded store for the state of background processes.
//!
//! See the README for a tour; [`Store`] is where to begin.
#![forbid(unsafe_code)]

mod clock;
mod engine;
mod error;
mod folder;
mod index;
#[cfg(feature = "json")]
pub mod interchange;
mod model;
pub mod proto;
mod record;
mod run;
mod runner;
mod store;

pub use clock::{Clock, ManualClock, SystemClock};
pub use engine::Durability;
pub use error::{Error, Result};
pub use jiff::Timestamp;
pub use model::List;
pub use proto::{Params, Process, Status, Work, WorkResponse};
pub use run::{Claim, ClaimOptions, Instance, Loss, Origin, Progress, Run, WorkItem};
pub use runner::{
    Outcome, Retry, Runner, RunnerBuilder, RunnerHandle, Shutdown, Stopper, WorkContext, WorkResult, Worker,
};
pub use store::{
    Change, Changed, Effect, Event, ImportMode, Item, Page, PastRun, ProcessHandle, Purged, Released,
    Settings, Stats, Store, StoreBuilder, Summary, Watch,
};
