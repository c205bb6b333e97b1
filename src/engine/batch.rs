//! Batches: the content of a commit.

use bytes::Bytes;

use crate::error::{Failure, Result};
use crate::model::limits;
use crate::record::Key;

/// A set of preconditions and writes that commit atomically.
#[derive(Debug, Clone, Default)]
pub(crate) struct Batch {
    pub(crate) preconditions: Vec<Precondition>,
    pub(crate) writes: Vec<Write>,
}

/// A condition on a key that must hold for a commit.
#[derive(Debug, Clone)]
pub(crate) struct Precondition {
    pub(crate) key: Key,
    pub(crate) expect: Expect,
    /// A commit as of which it held, as [`as_of`](super::Engine::as_of) returned it before a read; 0
    /// if unknown. The engine need not read the record again if no later commit can have changed it.
    pub(crate) held_as_of: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    Absent,
    /// The commit with this sequence number wrote the record.
    Version(u64),
}

impl Expect {
    /// Expects a key to be unchanged since it was read.
    pub(crate) fn unchanged(version: Option<u64>) -> Self {
        version.map_or(Self::Absent, Self::Version)
    }

    pub(crate) fn holds(self, version: Option<u64>) -> bool {
        self == Self::unchanged(version)
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Write {
    Put { key: Key, payload: Bytes },
    Delete { key: Key },
}

impl Write {
    /// Takes the payload out of the write (`None` for a deletion); returns it with the key.
    pub(crate) fn take(&mut self) -> (&Key, Option<Bytes>) {
        match self {
            Self::Put { key, payload } => (key, Some(std::mem::take(payload))),
            Self::Delete { key } => (key, None),
        }
    }

    pub(crate) fn key(&self) -> &Key {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Put { key, payload } => key.bytes().len() + payload.len(),
            Self::Delete { key } => key.bytes().len(),
        }
    }
}

impl Batch {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Returns an empty batch with this capacity.
    pub(crate) fn with_capacity(preconditions: usize, writes: usize) -> Self {
        Self { preconditions: Vec::with_capacity(preconditions), writes: Vec::with_capacity(writes) }
    }

    #[must_use]
    pub(crate) fn expect(self, key: Key, expect: Expect) -> Self {
        self.expect_since(key, expect, 0)
    }

    /// Expects what held as of the commit `held_as_of`.
    #[must_use]
    pub(crate) fn expect_since(mut self, key: Key, expect: Expect, held_as_of: u64) -> Self {
        self.preconditions.push(Precondition { key, expect, held_as_of });
        self
    }

    #[must_use]
    pub(crate) fn put(mut self, key: Key, payload: Bytes) -> Self {
        self.writes.push(Write::Put { key, payload });
        self
    }

    #[must_use]
    pub(crate) fn delete(mut self, key: Key) -> Self {
        self.writes.push(Write::Delete { key });
        self
    }

    /// Checks the sizes. Every engine does so first.
    pub(crate) fn check(&self) -> Result<()> {
        let mut total = 0;
        for write in &self.writes {
            if let Write::Put { key, payload } = write
                && payload.len() > limits::RECORD_BYTES_MAX
            {
                let (bytes, limit) = (payload.len(), limits::RECORD_BYTES_MAX);
                return Err(Failure::TooLarge { record: key.describe(), bytes, limit }.into());
            }
            total += write.size();
        }
        if total > limits::COMMIT_BYTES_MAX {
            let record = format!("one commit of {} writes", self.writes.len());
            return Err(Failure::TooLarge { record, bytes: total, limit: limits::COMMIT_BYTES_MAX }.into());
        }
        Ok(())
    }
}
