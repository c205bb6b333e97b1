//! The damage harness: stores with a fully known history, damaged the way disks, people and copies
//! damage them, and an oracle for the permitted answers of every reader.
//!
//! - [`life`] runs a store through a history, and keeps all files at several moments together
//!   with every state that the store ever had.
//! - [`fault`] damages the files of one moment.
//! - [`oracle`] verifies, salvages and opens the remains, writes to the store, and reopens it.

mod fault;
mod life;
mod oracle;
mod recorder;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::OnceLock;

use fault::Damaged;
use life::Life;
pub use oracle::Answer;

/// Damages a store according to `bytes`, and checks the outcome in the folder `scratch`:
///
/// ```text
/// bytes = life (u8) moment (u8) flags (u8) fault...
/// ```
///
/// with the faults of [`fault`]. Every input is some damage.
pub fn harness(bytes: &[u8], scratch: &Path) -> Option<Answer> {
    static LIVES: OnceLock<Vec<Life>> = OnceLock::new();
    let lives = LIVES.get_or_init(life::all);
    let damaged = Damaged::decode(lives, bytes)?;
    Some(oracle::check(lives, &damaged, scratch))
}
