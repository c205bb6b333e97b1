//! What a cluster takes in one request.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The compares and the reads that every transaction has besides those of its commit.
const OVERHEAD: usize = 2;

/// What a cluster takes, as far as it is known: what it is started with unless it is told
/// otherwise, and less once it says so.
#[derive(Debug)]
pub(super) struct Limits {
    /// Operations of a transaction (--max-txn-ops).
    operations: AtomicUsize,
    /// Bytes of a request (--max-request-bytes).
    bytes: AtomicUsize,
}

impl Default for Limits {
    fn default() -> Self {
        // The second is 1.5 MiB; keys and lengths come on top of what is counted.
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

    /// How many preconditions a commit may have.
    pub(super) fn preconditions(&self) -> usize {
        self.operations().saturating_sub(OVERHEAD)
    }

    /// There are fewer operations than was thought. Answers whether that may be.
    pub(super) fn lower_operations(&self) -> bool {
        self.operations.fetch_min(self.operations() / 2, Ordering::Relaxed) > 8
    }

    pub(super) fn lower_bytes(&self) -> bool {
        self.bytes.fetch_min(self.bytes() / 2, Ordering::Relaxed) > 4096
    }
}
