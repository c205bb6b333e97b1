//! A store on etcd: what a cluster of it, its failures and its refusals do to programs.

#[path = "../common/mod.rs"]
mod common;

#[path = "../common/etcd/mod.rs"]
mod etcd;

mod members;
