//! What must hold for any bytes: properties that the fuzz targets in `fuzz/` check,
//! and short tests here.
//!
//! Each function takes the bytes that a fuzzer made and panics if something does not
//! hold. Checksums would keep most of such bytes out, so files are read twice: as
//! they are, and [`resealed`](fixture::checksums), as somebody malicious would make them.
//!
//! Not a part of the API: it is there with `--cfg fuzzing` and in tests only.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a fuzzer learns of what does not hold"
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
