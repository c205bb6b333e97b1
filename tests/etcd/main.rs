//! A store on etcd: what a cluster of it, its failures and its refusals do to programs.
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
