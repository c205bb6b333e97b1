//! Messages and records as comparable and hashable parts of a state.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;

use crate::engine::{Batch, Outcome, Records};
use crate::record::{Key, Payload, Record};
use crate::store::Versioned;

/// A message in its encoded form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::run) struct Message(Bytes);

impl Message {
    pub(in crate::run) fn of<T: Payload>(message: &T) -> Self {
        Self(message.to_payload())
    }

    /// Takes the payload of a write.
    pub(in crate::run) fn of_bytes(payload: Bytes) -> Self {
        Self(payload)
    }

    pub(in crate::run) fn bytes(&self) -> Bytes {
        self.0.clone()
    }

    pub(in crate::run) fn read<T: Payload>(&self) -> T {
        T::decode(&self.0[..]).unwrap()
    }
}

/// A record as read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::run) struct Read {
    pub(in crate::run) version: Option<u64>,
    payload: Bytes,
}

impl Read {
    pub(in crate::run) fn message<T: Payload>(&self) -> Versioned<T> {
        Versioned { version: self.version, value: T::decode(&self.payload[..]).unwrap() }
    }
}

/// The records of the store. Clones are cheap.
#[derive(Debug, Clone, Default)]
pub(in crate::run) struct Stored(Arc<Records>);

impl Stored {
    pub(in crate::run) fn read(&self, key: &Key) -> Read {
        let record = self.0.get(key);
        let payload = |record: &Record| record.payload.clone();
        Read {
            version: record.map(|record| record.version),
            payload: record.map(payload).unwrap_or_default(),
        }
    }

    pub(in crate::run) fn get<T: Payload>(&self, key: &Key) -> Versioned<T> {
        self.read(key).message()
    }

    pub(in crate::run) fn last_seq(&self) -> u64 {
        self.0.last_seq()
    }

    pub(in crate::run) fn commit(&mut self, batch: &Batch) -> Outcome {
        Arc::make_mut(&mut self.0).commit(batch)
    }
}

impl PartialEq for Stored {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Stored {}

impl Hash for Stored {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
