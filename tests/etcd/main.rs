//! Tests a store in etcd on clusters that fail, and that refuse requests.
#![allow(unreachable_pub, reason = "a test program has no outside")]

mod chaos;
#[path = "../common/mod.rs"]
mod common;
mod figures;
mod gateway;
mod members;
mod refusals;
mod takeover;
mod tasks;

use common::etcd;
