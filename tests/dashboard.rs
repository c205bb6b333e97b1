//! Tests of the dashboard, over HTTP and in a browser.
#![allow(unreachable_pub, reason = "a test target has no users")]

#[allow(dead_code, reason = "the tests of the API use the rest of it")]
#[path = "http/client.rs"]
mod client;
mod common;

mod dashboard {
    mod browser;
    mod forms;
    mod live;
    mod pages;
    mod screenshot;
    mod site;
}
