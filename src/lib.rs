//! An embedded store for the state of background processes: who owns each process, what work it
//! has, how far that work got, and what went wrong.
//!
//! # A first program
//!
//! ```
//! use procstate::{Outcome, Params, Runner, Store};
//!
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path().join("state");
//! let store = Store::open(&folder)?;
//! store.process("gckeys")?.register("project-1", Params::new().int("keysPerAccount", 8))?;
//!
//! let outcome = Runner::builder(&store, "gckeys")
//!     .worker_fn(|work| {
//!         work.add_stat("keysRemoved", work.params().get_int("keysPerAccount").unwrap_or(0) as f64);
//!         Ok(())
//!     })
//!     .run_once()?;
//! let Outcome::Finished(status) = outcome else { panic!("no other instance holds the process") };
//! assert_eq!(status.stats["work.keysRemoved"], 8.0);
//! store.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Map
//!
//! | to | use |
//! |---|---|
//! | open a store, or make one in memory for tests | [`Store`], [`StoreBuilder`] |
//! | register work and change settings | [`ProcessHandle`], [`Params`], [`Precondition`] |
//! | work on schedule, with retries and graceful shutdown | [`Runner`], [`Worker`], [`WorkContext`], [`Retry`], [`Stopper`] |
//! | claim a process and work through it yourself, every write fenced | [`ProcessHandle::claim`], [`Run`], [`WorkItem`] |
//! | see how far a process has got | [`ProcessHandle::summary`], [`Counts`], [`PastRun`], [`Page`] |
//! | follow changes | [`Store::watch`], [`Store::changes`] |
//! | test a worker without a store | [`testing`], [`ManualClock`] |
//! | decide what to do about an error | [`Error`] |
//! | verify, salvage, restore or compact a store that no program has open | [`recovery`] |
//! | import and export whole processes (feature `json`) | `interchange` |
//! | run workers that are futures (feature `tokio`) | `tokio` |
//! | serve a store over HTTP, or use one that is served (feature `http`) | `http`, `remote` |
//!
//! The README has a tour and says when to choose something else. The folder `docs` has the guides:
//! what each write survives (`durability.md`), what each error means (`errors.md`), the runbook
//! (`recovery.md`), and the file formats byte by byte (`format.md`).
//!
//! # Words
//!
//! A *process* is always the domain object, never a process of the operating system. An *instance*
//! competes for processes. A *run* is one pass over the *work items* of a process, from claim to
//! finish; its owner may change on the way. The *fencing token* of a process increases with every
//! claim.
#![cfg_attr(docsrs, feature(doc_cfg))]
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
pub use engine::{Backup, Durability, OpenReport, Rebuilt, Recovery, Stats, TornTail, Verify};
pub use error::{Error, Result};
pub use jiff::Timestamp;
pub use model::{FailureLimit, List};
pub use proto::{Params, Process, Status, Work, WorkResponse};
pub use run::{Claim, ClaimOptions, Instance, Loss, Origin, Progress, Run, WorkItem};
pub use runner::{
    Outcome, Retry, Runner, RunnerBuilder, RunnerHandle, Shutdown, Stopper, WorkContext, WorkResult, Worker,
};
pub use store::{
    Change, ChangeSet, Changed, Changes, Counts, Effect, Event, ImportMode, Item, Items, Names, Page,
    PastRun, Precondition, ProcessHandle, Purged, Released, Settings, Store, StoreBuilder, StoredItem,
    Summary, Tally, Watch,
};

/// The README's examples are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
