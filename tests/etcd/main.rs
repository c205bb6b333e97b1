//! A store on etcd: what a cluster of it, its failures and its refusals do to programs.

#[path = "../common/mod.rs"]
mod common;

use common::etcd;

mod members;
