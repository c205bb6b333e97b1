//! The dashboard: its pages as they are served, and in a browser.
#![allow(unreachable_pub, reason = "a test target has no users")]

#[path = "http/client.rs"]
mod client;
mod common;

mod dashboard {
    mod browser;
    mod forms;
    mod live;
    mod pages;
    mod site;
}
