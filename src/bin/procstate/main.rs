//! The command-line tool of procstate.
#![forbid(unsafe_code)]

fn main() {}
