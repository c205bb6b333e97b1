//! Waiting for what another thread is to do.

use std::thread;
use std::time::{Duration, Instant};

/// Waits until `holds`, for ten seconds at most.
#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}
