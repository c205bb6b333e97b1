//! Properties that must hold for arbitrary bytes, checked by the fuzz targets in `fuzz/` and by
//! short tests here.
//!
//! Each function takes a fuzzer's bytes and panics if a property does not hold. Checksums would
//! reject most such bytes, so files are read twice: as they are, and
//! [`resealed`](fixture::checksums), as an attacker would forge them.
//!
//! Not part of the API: only built with `--cfg fuzzing` and in tests.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic reports a violated property to the fuzzer"
)]

mod archive;
mod fixture;
mod harness;
#[cfg(feature = "json")]
mod interchange;
mod log;
mod manifest;
mod record;
mod store;
#[cfg(test)]
mod tests;

pub use archive::archive;
pub use harness::{Answer, harness};
#[cfg(feature = "json")]
pub use interchange::interchange;
pub use log::log;
pub use manifest::manifest;
pub use record::record;
pub use store::store;
