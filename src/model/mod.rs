//! The rules of the domain: pure functions, no clock, no I/O.

mod lists;

pub use lists::List;
