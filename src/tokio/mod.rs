//! Workers that are futures, on the tokio runtime of the program (feature `tokio`).
mod builder;
mod dispatcher;
mod either;
mod end;
mod events;
mod handle;
mod in_flight;
mod mailbox;
mod process;
mod runner;
mod schedule;
mod stop;
mod synced;
mod task;
mod work;
mod worker;

pub use builder::AsyncRunnerBuilder;
pub use events::Events;
pub use handle::AsyncRunnerHandle;
pub use process::AsyncProcess;
pub use runner::AsyncRunner;
pub use stop::AsyncStopper;
pub use synced::synced;
pub use work::AsyncWork;
pub use worker::AsyncWorker;
