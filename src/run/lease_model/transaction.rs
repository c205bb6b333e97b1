//! A commit as a transaction of etcd, and its copies in flight.

use bytes::Bytes;

use super::faults::Fault;
use super::world::PROCESS;
use crate::engine::{Batch, Expect, Outcome, Write};
use crate::model::List;
use crate::record::Key;
use crate::run::claim_model::values::{Message, Stored};

/// A batch with the slot of its client, which must be as the client left it, and is written with
/// the batch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Transaction {
    expects: Vec<(Key, Option<u64>)>,
    puts: Vec<(Key, Message)>,
    slot: (u8, Option<u64>),
    /// The fencing token of the run that writes; `None` for a claim.
    pub(super) token: Option<u64>,
}

/// The answer of etcd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Committed(u64),
    /// The slot has changed: an earlier attempt at the same commit was applied, as this version.
    Landed(u64),
    Refused,
}

/// A copy of a transaction that may still reach etcd.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Flight {
    pub(super) transaction: Transaction,
    /// Whether this copy or another was applied.
    pub(super) has_landed: bool,
    /// Whether the client was told that it was not.
    pub(super) was_refused: bool,
}

pub(super) fn slot_key(slot: u8) -> Key {
    Key::item("slots", List::Active, &slot.to_string())
}

impl Transaction {
    pub(super) fn new(
        batch: Batch,
        token: Option<u64>,
        slot: (u8, Option<u64>),
        fault: Option<Fault>,
    ) -> Self {
        let without = match (fault, token) {
            (Some(Fault::NoFence), Some(_)) => Some(Key::owner(PROCESS)),
            (Some(Fault::StaleStatus), None) => Some(Key::status(PROCESS)),
            _ => None,
        };
        let expects = batch
            .preconditions
            .into_iter()
            .filter(|precondition| Some(&precondition.key) != without.as_ref())
            .map(|precondition| match precondition.expect {
                Expect::Absent => (precondition.key, None),
                Expect::Version(version) => (precondition.key, Some(version)),
            });
        let puts = batch.writes.into_iter().map(|mut write| {
            let (key, payload) = (write.key().clone(), write.take().1);
            (key, Message::of_bytes(payload.unwrap_or_default()))
        });
        Self { expects: expects.collect(), puts: puts.collect(), slot, token }
    }

    /// Applies it as etcd does, in one step.
    pub(super) fn apply(&self, store: &mut Stored, fault: Option<Fault>) -> Answer {
        let (slot, expected) = self.slot;
        let slot = slot_key(slot);
        let found = store.read(&slot).version;
        if let Some(version) = found.filter(|_| found != expected && fault != Some(Fault::BlindRetry)) {
            return Answer::Landed(version);
        }
        let batch = Batch {
            preconditions: Vec::new(),
            writes: self
                .puts
                .iter()
                .map(|(key, value)| Write::Put { key: key.clone(), payload: value.bytes() })
                .collect(),
        };
        let batch = self
            .expects
            .iter()
            .fold(batch, |batch, (key, version)| batch.expect(key.clone(), Expect::unchanged(*version)));
        match store.commit(&batch.put(slot, Bytes::new())) {
            Outcome::Committed(version) => Answer::Committed(version),
            Outcome::Failed(_) => Answer::Refused,
        }
    }
}
