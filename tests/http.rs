//! The API over TCP, by a client that sends what it is told.
#![allow(unreachable_pub, reason = "a test target has no users")]

mod http {
    pub mod client;
    mod docs;
    mod events;
    mod metrics;
    mod openapi;
    mod reading;
    mod security;
    mod server;
    mod writing;
}
