//! An embedded store for the state of background processes.
//!
//! See the README for a tour; [`Store`] is where to begin.
#![forbid(unsafe_code)]
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg_attr(not(test), warn(clippy::cast_possible_truncation, clippy::cast_sign_loss))]
#![warn(clippy::print_stdout, clippy::print_stderr)]

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
