//! Async workers on the tokio runtime of the program (feature `tokio`).
//!
//! [`AsyncRunner`] relates to [`AsyncWorker`] as [`Runner`](crate::Runner) does to
//! [`Worker`](crate::Worker): the same claims, runs, retries, limits and [flow
//! control](crate::Runner#flow-control) (`flow.concurrency` up to 65,536), in the same store, and
//! for the same processes. A blocking runner and an async one differ only in how they wait.
//! [`AsyncProcess`] has the calls that wait for the disk, [`synced`] waits for all earlier writes,
//! and [`Events`] is the change feed.
//!
//! ```
//! use procstate::tokio::AsyncRunner;
//! use procstate::{Retry, Shutdown, Store};
//! use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> procstate::Result<()> {
//! # let store = Store::in_memory();
//! let runner = AsyncRunner::builder(&store, "gckeys")
//!     .every(Duration::from_secs(3600))
//!     .concurrency(1000)
//!     .retry(Retry::attempts(3))
//!     .item_timeout(Duration::from_secs(30))
//!     .worker_fn(|work| async move {
//!         work.add_stat("keysRemoved", 2.0);
//!         Ok(())
//!     })
//!     .spawn()?;
//! // ... until the program is told to stop:
//! runner.shutdown(Shutdown::HandBack, Duration::from_secs(20)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Items are tasks
//!
//! Each item in progress is a task of the runtime on which the runner was started, and holds the
//! future of its worker; all threads of the runtime work on them. The concurrency limits their
//! number and memory: a run of a million items holds those in progress and a few hundred names.
//!
//! # Cancellation
//!
//! An item is cancelled when it exceeds its [time limit](AsyncRunnerBuilder::item_timeout), has
//! more than 10 errors in one attempt, the deadline of a [shutdown](AsyncRunnerHandle::shutdown)
//! has passed, or its run is lost or has lapsed. Its future is **dropped** at its current `await`,
//! and the item ends, or is retried, once everything held by the future is gone.
//!
//! - **Write workers that may be dropped at any `await`.** Cleanup belongs in the `Drop` of a
//!   guard; what must not be interrupted belongs between two `await`s, or in a separate task
//!   (`tokio::spawn(..).await`), which continues when it is no longer awaited. The item is then
//!   repeated, so the work must be repeatable.
//! - **Or be notified first.** With a [`cancel_grace`](AsyncRunnerBuilder::cancel_grace)
//!   [`AsyncWork::cancelled`] completes that much earlier than the future is dropped, and the
//!   worker can shut down gracefully (`tokio::select!` on it). After loss or lapse there is no
//!   grace: another instance may be working on the item.
//! - **What the future started elsewhere is not dropped with it.** Give it a clone of
//!   [`AsyncWork`] and let it watch [`cancelled`](AsyncWork::cancelled) or
//!   [`is_cancelled`](AsyncWork::is_cancelled). Calls on the clone have no effect once the item
//!   has ended.
//! - An item interrupted by a shutdown has not failed: it stays unfinished, without an error
//!   and without using up an attempt, and is repeated when the run is resumed.
//!
//! The futures of this module may be dropped as well. Dropping [`AsyncRunner::run_once`] (in a
//! `timeout`, a `select!`) drops the futures of its items, writes nothing, and leaves the run
//! unfinished for the next claim to resume at once; an item whose future had just completed may
//! then be repeated. The same happens if the runtime shuts down.
//!
//! # Heartbeats
//!
//! The runner sends heartbeats by itself, and stores the workers' statistics, once per progress
//! interval, as long as the futures are alive: a waiting worker needs no ticker, and no call of
//! [`progress`](AsyncWork::progress). Therefore **a future that waits for something that never
//! comes looks alive forever** and blocks the run, unless there is an
//! [`item_timeout`](AsyncRunnerBuilder::item_timeout). Set one.
//!
//! A worker that **blocks its thread** does not look alive. A poll that takes longer than half the
//! heartbeat timeout stops the heartbeats, and the run eventually lapses. Such a future cannot be
//! dropped either: over its time limit, it is abandoned after the
//! [`stop_grace`](AsyncRunnerBuilder::stop_grace), and its item ends aborted. Until it returns the
//! runtime has lost its thread, and possibly the tasks queued on that thread, including the runner,
//! whose run then lapses. A runtime of one thread is blocked as a whole.
//!
//! # Blocking work
//!
//! Computations of more than about 10 to 100 µs between two `await`s, and blocking calls, belong in
//! `tokio::task::spawn_blocking`. They cannot be dropped: after a cancellation the item ends while
//! the closure continues, up to 512 of them by default, beyond which others wait for a thread. Let
//! it check [`is_cancelled`](AsyncWork::is_cancelled):
//!
//! ```
//! # use procstate::{tokio::AsyncWork, WorkResult};
//! async fn process(work: AsyncWork) -> WorkResult {
//!     let watched = work.clone();
//!     let sum = tokio::task::spawn_blocking(move || {
//!         (0..1_000_000_u64).take_while(|_| !watched.is_cancelled()).sum::<u64>()
//!     });
//!     work.add_stat("sum", sum.await? as f64);
//!     Ok(())
//! }
//! ```
//!
//! # Panics
//!
//! A panic of a worker's future, in a poll or on drop, is an error of its item, which ends aborted
//! and is not retried; no other item is affected. A panic in a task that the worker spawned is the
//! `JoinError` of that task: `handle.await?` makes it an error of the item, which is retried if it
//! has attempts left; without an await it is lost. With `panic = "abort"` every panic ends the
//! program, and the next one resumes the run.
//!
//! # Blocking calls, and their duration
//!
//! | | blocks its thread for |
//! |---|---|
//! | the runner: items begun and ended, a heartbeat | one buffered write, of up to 32 ends and begins: some µs to some 100 µs; then it yields |
//! | `add_stat`, `add_error`, `params`, `settings`, `name`, `cancelled` | only a lock that is held for such a write at most |
//! | [`AsyncWork::progress`], [`AsyncProcess`], a claim, the end of a run | one buffered write, and some reads; waiting for the sync blocks no thread |
//! | [`synced`], [`Events`], `shutdown`, `join` | nothing |
//! | [`AsyncProcess::register_all`], [`sync_work`](AsyncProcess::sync_work) | a thread for blocking calls, for the whole call |
//! | reads on a [`ProcessHandle`](crate::ProcessHandle) | 1 µs a record in memory, a read of the disk for one that is not; [`snapshot`](crate::ProcessHandle::snapshot) 1 to 4 µs an item: use `spawn_blocking` above some thousands |
//! | blocking forms of what syncs | one sync: 0.1 to 10 ms |
//! | `Store::open`, `backup`, `close`, `purge`, `import` | up to seconds: use `spawn_blocking` |
//!
//! If the disk cannot keep up, blocking writers wait for it; the runner and the calls of
//! [`AsyncProcess`] wait as futures, except for the rare call where the back-pressure starts
//! between its check and its write.
//!
//! A store in etcd ([`Store::connect`](crate::Store)) waits for a network, and tasks must not wait with
//! it. Threads of the store, at most 64 at a time, make the calls of tasks: those of [`AsyncProcess`],
//! claims, the writes of a runner, and [`AsyncWork::progress`]. What workers count during a write is
//! stored with the next one, and does not wait. In the table above, these calls block until the
//! cluster responds, without a majority up to the [timeout](crate::EtcdOptions::timeout): reads on a
//! handle, [`Store::watch`](crate::Store::watch), [`AsyncRunnerBuilder::build`] with a schedule, and
//! dropping a [`Run`](crate::Run) or an item of one before its end (a runner never does).
//!
//! All times except those of `await`s in workers follow the [`Clock`](crate::Clock) of the store.
//! Under tokio's paused time give the store a clock of `tokio::time::Instant`s.

mod builder;
mod call;
mod dispatch;
mod events;
mod handle;
mod options;
mod process;
mod run_once;
mod runner;
mod scheduler;
mod stop;
mod synced;
mod worker;

pub use builder::AsyncRunnerBuilder;
pub use events::Events;
pub use handle::AsyncRunnerHandle;
pub use process::AsyncProcess;
pub use runner::AsyncRunner;
pub use stop::AsyncStopper;
pub use synced::synced;
pub use worker::AsyncWorker;
pub use worker::work::AsyncWork;
