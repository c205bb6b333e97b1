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

mod actions;
mod address;
mod answer;
mod calls;
mod dashboard;
mod events;
mod guard;
mod health;
mod input;
mod metrics;
mod openapi;
mod options;
mod params;
mod problem;
mod processes;
mod routes;
mod serve;
mod server;
mod settings;
mod token;
mod work;

pub use options::Options;
pub use routes::router;
pub use server::{Server, ServerBuilder};
pub use token::Token;
