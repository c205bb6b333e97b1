//! A store over HTTP, while a program has it open (feature `http`): to see how far it is,
//! what failed and who has it, and to steer it.
//!
//! [`router`] is nested into a service of one's own; [`Server`] serves one by itself, for
//! programs that have no tokio runtime too:
//!
//! ```
//! use procstate::http::Server;
//!
//! # let store = procstate::Store::in_memory();
//! let server = Server::builder(&store).listen("127.0.0.1:0").start()?;
//! println!("curl http://{}/v1/processes", server.addresses()[0]);
//! server.shutdown(std::time::Duration::from_secs(5));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! docs/http.md has every address with an example; `/v1/openapi.json` says the same for
//! programs.

mod api;
mod app;
mod dashboard;
mod events;
mod exchange;
mod guard;
mod metrics;
mod options;
mod routes;
mod serving;
mod token;

pub use options::Options;
pub use routes::router;
pub use serving::server::{Server, ServerBuilder};
pub use token::Token;
