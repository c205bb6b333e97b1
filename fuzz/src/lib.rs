//! Shared parts of the fuzz targets.

use std::panic::{self, PanicHookInfo};
use std::path::Path;

use tempfile::TempDir;

/// Creates an empty folder for one input, in memory if possible, where syncs cost nothing.
///
/// # Panics
///
/// If it cannot be created.
#[must_use]
pub fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let builder = || {
        let mut builder = tempfile::Builder::new();
        builder.prefix("procstate-fuzz-");
        builder
    };
    let made = if memory.is_dir() { builder().tempdir_in(memory) } else { builder().tempdir() };
    made.expect("a folder for an input")
}

/// Permits panics of sled, which procstate handles. Every other panic ends the fuzzer where it
/// occurs, also in threads of the store.
pub fn let_sled_panic() {
    let abort = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !is_of_sled(info) {
            abort(info);
        }
    }));
}

fn is_of_sled(info: &PanicHookInfo<'_>) -> bool {
    info.location().is_some_and(|location| location.file().contains("/sled-0."))
}
