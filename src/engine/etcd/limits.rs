//! The limits of a cluster on one request.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of operations that every transaction has in addition to those of its commit.
const OVERHEAD: usize = 2;

/// The assumed limits of a cluster: etcd's defaults at first, and less once it has refused a request
/// as too large.
#[derive(Debug)]
pub(super) struct Limits {
    /// The maximum number of operations in a transaction (--max-txn-ops).
    operations: AtomicUsize,
    /// The maximum size of a request in bytes (--max-request-bytes).
    bytes: AtomicUsize,
}

impl Default for Limits {
    fn default() -> Self {
        // etcd's limit is 1.5 MiB; the difference leaves room for overhead that is not counted.
        Self { operations: AtomicUsize::new(128), bytes: AtomicUsize::new((3 << 19) - (32 << 10)) }
    }
}

impl Limits {
    pub(super) fn operations(&self) -> usize {
        self.operations.load(Ordering::Relaxed)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Returns the maximum number of compares in a commit.
    pub(super) fn preconditions(&self) -> usize {
        self.operations().saturating_sub(OVERHEAD)
    }

    /// Halves the assumed limit; returns false if it was already too low to be credible.
    pub(super) fn lower_operations(&self) -> bool {
        self.operations.fetch_min(self.operations() / 2, Ordering::Relaxed) > 8
    }

    pub(super) fn lower_bytes(&self) -> bool {
        self.bytes.fetch_min(self.bytes() / 2, Ordering::Relaxed) > 4096
    }
}
