//! An embedded store for the state of background processes: who owns each one, what
//! work it has, how far the work got, what went wrong.
//!
//! - [`Store`] is one folder; [`Store::process`] gives a [`ProcessHandle`], through
//!   which work is registered and settings change.
//! - [`Runner`] calls your [`Worker`] for each work item, on schedule, and survives
//!   crashes: most programs need no more.
//! - [`ProcessHandle::claim`] gives a [`Run`] for finer control: one owner at a time,
//!   every write fenced.
//! - [`testing`] runs a [`Worker`] by itself, in unit tests.
//!
//! The README has a tour, what each write survives, and what this is not.
//!
//! # Words
//!
//! A *process* is always the domain object, never one of the operating system. An
//! *instance* competes for processes. A *run* is one pass over the *work items* of a
//! process, from its claim to its end; it may change owners on the way. The *fencing
//! token* of a claim grows with each claim of a process.
#![forbid(unsafe_code)]
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg_attr(not(test), warn(clippy::cast_possible_truncation, clippy::cast_sign_loss))]
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod archive;
mod clock;
mod crc;
mod disk;
mod engine;
mod error;
mod folder;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "http")]
pub mod http;
mod index;
#[cfg(feature = "json")]
pub mod interchange;
mod model;
pub mod proto;
mod record;
pub mod recovery;
#[cfg(feature = "http")]
pub mod remote;
mod run;
mod runner;
#[cfg(feature = "serde")]
mod serialize;
mod store;
mod sync;
pub mod testing;
pub mod text;
#[cfg(feature = "tokio")]
pub mod tokio;
#[cfg(feature = "serde")]
mod typed;

pub use clock::{Clock, ManualClock, SystemClock};
#[cfg(feature = "etcd")]
pub use engine::EtcdOptions;
pub use engine::{Backup, Durability, OpenReport, Rebuilt, Recovery, Stats, TornTail};
pub use error::{Error, Result};
pub use jiff::Timestamp;
pub use model::List;
pub use proto::{Params, Process, Status, Work, WorkResponse};
pub use run::{Claim, ClaimOptions, FailureLimit, Instance, Loss, Origin, Progress, Run, WorkItem};
pub use runner::{
    Outcome, Retry, Runner, RunnerBuilder, RunnerHandle, Shutdown, Stopper, WorkContext, WorkResult, Worker,
};
pub use store::{
    Change, Changed, Counts, Effect, Event, ImportMode, Item, Names, Page, PastRun, Precondition,
    ProcessHandle, Purged, Released, Settings, Store, StoreBuilder, Summary, Tally, Watch,
};

/// The README's examples are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
