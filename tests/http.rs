//! Tests of the API over TCP, with a raw client.
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
