//! The damage harness: stores whose whole history is known, damaged in the ways that
//! disks, people and copies damage them, and an oracle that says what every reader of
//! the result may answer.
//!
//! - [`life`] runs a store through some history and keeps all files as they were at
//!   several moments, with every state that the store ever had.
//! - [`fault`] says what happens to the files of one moment.
//! - [`oracle`] verifies, salvages and opens what is left, writes to it, and opens it
//!   again.

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

/// Damages a store as `bytes` say and checks what becomes of it in the folder `scratch`:
///
/// ```text
/// bytes = life (u8) moment (u8) flags (u8) fault...
/// ```
///
/// with faults as [`fault`] describes them. Every input is some damage.
pub fn harness(bytes: &[u8], scratch: &Path) -> Option<Answer> {
    static LIVES: OnceLock<Vec<Life>> = OnceLock::new();
    let lives = LIVES.get_or_init(life::all);
    let damaged = Damaged::decode(lives, bytes)?;
    Some(oracle::check(lives, &damaged, scratch))
}
