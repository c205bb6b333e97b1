//! The opener: turns the files of a store into an index, a memtable and a log to append to.
//!
//! It gathers facts, asks the policy what they allow, rebuilds the index if necessary, replays the
//! log, and repairs its end. It runs before any other part exists, alone, and takes no lock. Until
//! the policy has allowed the opening it changes nothing that the store holds.

mod create;
mod gather;
pub(crate) mod policy;
mod rebuild;
mod recover;
mod replay;
mod verify;

pub(crate) use create::create;
pub(crate) use recover::{Recovered, recover};
pub(crate) use verify::verify;
