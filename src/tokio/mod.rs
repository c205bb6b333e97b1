//! Workers that are futures, on the tokio runtime of the program (feature `tokio`).
//!
//! [`AsyncRunner`] is to an [`AsyncWorker`] what [`Runner`](crate::Runner) is to a
//! [`Worker`](crate::Worker): the same claims, runs, retries, limits and
//! [flow control](crate::Runner#flow-control) (`flow.concurrency` up to 65,536), in the same
//! store, and for the same processes. A blocking runner and an async one differ in how they
//! wait, in nothing else. [`AsyncProcess`] has the calls that wait for the disk,
//! [`synced`] waits for all that was written before, [`Events`] is the change feed.
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
//! Each item in hand is a task of the runtime that the runner was started on, with the
//! future of its worker in it; all threads of the runtime work on them. How many there are
//! at once is bounded by the concurrency, and so is the memory: a run of a million items
//! holds those in hand and a few hundred names.
//!
//! # Cancellation
//!
//! An item is cancelled when it is over its
//! [time](AsyncRunnerBuilder::item_timeout), had more than 10 errors in one attempt, the
//! deadline of a [shutdown](AsyncRunnerHandle::shutdown) has passed, or its run is lost or
//! has lapsed. Its future is **dropped**, at the `await` it stands at, and the item ends, or
//! is tried again, once all that the future held is gone.
//!
//! - **Write workers that may be dropped at any `await`.** What must happen on the way out
//!   goes into a guard's `Drop`; what must not be cut in two belongs between two `await`s,
//!   or into a task of its own (`tokio::spawn(..).await`), which goes on when it is not
//!   waited for any more. The item is then done again, so that both must bear that.
//! - **Or be told first.** With a [`cancel_grace`](AsyncRunnerBuilder::cancel_grace)
//!   [`AsyncWork::cancelled`] completes so much earlier than the future is dropped, and the
//!   worker may return in good order (`tokio::select!` on it). After loss or lapse there is
//!   no grace: another instance may be on the item.
//! - **What the future started elsewhere is not dropped with it.** Give it a clone of
//!   [`AsyncWork`] and have it watch [`cancelled`](AsyncWork::cancelled) or
//!   [`is_cancelled`](AsyncWork::is_cancelled). Nothing that it calls on the clone has any
//!   effect once the item has ended.
//! - Cut short by a shutdown, an item has not failed: it stays unfinished, with no error
//!   and no attempt used up, and whoever goes on with the run does it again.
//!
//! The futures of this module may be dropped as well. [`AsyncRunner::run_once`] dropped (in
//! a `timeout`, a `select!`) drops the futures of its items, writes nothing, and leaves the
//! run unfinished, for the next claim to go on with at once; an item whose future had
//! completed a moment before may be done again then. So it is if the runtime goes down.
//!
//! # Signs of life
//!
//! The runner shows life by itself, and stores what workers have counted, once per progress
//! interval, for as long as the futures are alive: a worker needs no ticker while it waits,
//! and no call of [`progress`](AsyncWork::progress). So **a future that waits for something
//! that never comes looks alive for ever** and holds the run, unless there is an
//! [`item_timeout`](AsyncRunnerBuilder::item_timeout). Set one.
//!
//! A worker that **blocks its thread** does not look alive. A poll that takes longer than half
//! the heartbeat timeout stops the signs of life, and the run lapses if it goes on. Such a
//! future cannot be dropped either: over its time, it is left behind after the
//! [`stop_grace`](AsyncRunnerBuilder::stop_grace), its item ends aborted, and its thread is
//! lost to the runtime until it returns, and so may be what the runtime has given that thread
//! to do, the runner not excepted: then it lapses. A runtime of one thread is blocked as a
//! whole.
//!
//! # Blocking work
//!
//! Computing for more than some 10 to 100 µs between two `await`s, and calls that block, go
//! to `tokio::task::spawn_blocking`. What runs there cannot be dropped: cancelled, the item
//! ends while the closure goes on, up to 512 of them by default, and then the rest waits for
//! a thread. Let it ask [`is_cancelled`](AsyncWork::is_cancelled):
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
//! A panic of a worker's future, in a poll or when it is dropped, is an error of its item,
//! which ends aborted and is not tried again; no other item is disturbed. A panic in a task
//! that the worker spawned is the `JoinError` of that task: `handle.await?` makes it an error
//! of the item, which is tried again if it has attempts left; a handle that is not awaited
//! loses it. With `panic = "abort"` every panic ends the program, and the run is resumed by
//! the next.
//!
//! # What blocks, and for how long
//!
//! | | blocks its thread for |
//! |---|---|
//! | the runner: items begun and ended, a beat | one buffered write, of up to 32 ends and begins: some µs to some 100 µs; then others have a turn |
//! | `add_stat`, `add_error`, `params`, `settings`, `name`, `cancelled` | nothing but a lock that is held for such a write at most |
//! | [`AsyncWork::progress`], [`AsyncProcess`], a claim, the end of a run | one buffered write, and some reads; the sync is waited for without a thread |
//! | [`synced`], [`Events`], `shutdown`, `join` | nothing |
//! | [`AsyncProcess::register_all`], [`sync_work`](AsyncProcess::sync_work) | a thread for blocking calls, for all of it |
//! | reads on a [`ProcessHandle`](crate::ProcessHandle) | 1 µs a record in memory, a read of the disk for one that is not; [`snapshot`](crate::ProcessHandle::snapshot) 1 to 4 µs an item: use `spawn_blocking` above some thousands |
//! | blocking forms of what syncs | one sync: 0.1 to 10 ms |
//! | `Store::open`, `backup`, `close`, `purge`, `import` | up to seconds: use `spawn_blocking` |
//!
//! Where the disk cannot keep up, blocking writers wait for it; the runner and the calls of
//! [`AsyncProcess`] wait as futures, but for the rare one that finds it so between its look
//! and its write.
//!
//! A store in etcd ([`Store::connect`](crate::Store)) waits for a network, and no task is to wait
//! with it. All that tasks call for there, the calls of [`AsyncProcess`], claims, the writes of a
//! runner and [`AsyncWork::progress`], is made by the store's own threads, up to 64 at a time;
//! the others have their turn after them. What workers count meanwhile goes with the next write,
//! and waits for none. Of the calls in the table these block for as long as the cluster takes
//! to answer, up to the [timeout](crate::EtcdOptions::timeout) without a majority: reads on a
//! handle, [`Store::watch`](crate::Store::watch), [`AsyncRunnerBuilder::build`] with a schedule,
//! and a [`Run`](crate::Run) or an item of one that is dropped before its end, but by a runner.
//!
//! All times but those of `await`s in workers go by the [`Clock`](crate::Clock) of the
//! store. Under tokio's paused time give the store a clock of `tokio::time::Instant`s.

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
