//! The API over TCP, by a client that is not ours.
#![allow(unreachable_pub, reason = "a test target has no users")]

mod http {
    pub mod client;
    mod server;
}
