//! An HTTP API and dashboard for a store that this program has open (feature `http`).
//!
//! [`router`] is nested into an existing service; [`Server`] serves on its own, also in programs
//! without a tokio runtime:
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
//! docs/http.md describes every address with an example; `/v1/openapi.json` does so for programs.

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
