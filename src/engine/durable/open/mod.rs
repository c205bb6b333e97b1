//! The opener: from what the files hold to an index, a memtable and a log that goes on.
//!
//! It gathers facts, asks the policy what they allow, rebuilds the index if it must, replays
//! the log, and repairs its end. It runs before any other part exists, alone, and takes no
//! lock. Until the policy has allowed the opening it changes nothing that the store holds.

mod create;
mod gather;
pub(crate) mod policy;
mod rebuild;
mod recover;
mod replay;

pub(crate) use create::create;
pub(crate) use recover::{Recovered, recover};
