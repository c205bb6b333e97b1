//! Typed reads, and the optimistic loop of every change: read, decide, commit, and retry if a
//! concurrent write intervened.

use std::ops::ControlFlow;

use crate::engine::{Batch, Durability, Expect, Outcome};
use crate::error::Result;
use crate::record::{Key, KeyRange, Payload, RecordRef};

use super::Store;

/// A message with the version needed for preconditions.
#[derive(Debug, Clone)]
pub(crate) struct Versioned<T> {
    /// `None` if the record is absent.
    pub(crate) version: Option<u64>,
    /// The message; the default one if the record is absent.
    pub(crate) value: T,
}

impl<T> Versioned<T> {
    pub(crate) fn is_present(&self) -> bool {
        self.version.is_some()
    }

    pub(crate) fn present(&self) -> Option<&T> {
        self.is_present().then_some(&self.value)
    }

    pub(crate) fn unchanged(&self) -> Expect {
        Expect::unchanged(self.version)
    }
}

impl<T: Payload> Versioned<T> {
    pub(crate) fn absent() -> Self {
        Self { version: None, value: T::default() }
    }

    pub(crate) fn of(record: RecordRef<'_>) -> Result<Self> {
        Ok(Self { version: Some(record.version), value: T::from_ref(record)? })
    }
}

/// The result of one attempt at a change.
pub(crate) enum Attempt<T> {
    /// Nothing needs to be written.
    Done(T),
    /// Commit this batch; if a precondition fails, read everything again.
    Commit(Batch, T),
}

impl Store {
    pub(crate) fn read<T: Payload>(&self, key: &Key) -> Result<Versioned<T>> {
        let record = self.inner.engine.get(key)?;
        record.map_or_else(|| Ok(Versioned::absent()), |record| Versioned::of(record.borrow()))
    }

    /// Visits the records in `range` at one point in time, until `visit` stops or fails.
    pub(crate) fn scan(
        &self,
        range: &KeyRange,
        visit: impl FnMut(RecordRef<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        self.scan_first(range, usize::MAX, visit)
    }

    /// Visits at most the first `max` records.
    pub(crate) fn scan_first(
        &self,
        range: &KeyRange,
        max: usize,
        mut visit: impl FnMut(RecordRef<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let mut outcome = Ok(());
        self.inner.engine.scan_first(range, max, &mut |record| {
            visit(record).unwrap_or_else(|error| {
                outcome = Err(error);
                ControlFlow::Break(())
            })
        })?;
        outcome
    }

    /// Repeats `attempt` until its batch commits.
    ///
    /// Each failure means that another commit succeeded, so the system always makes progress.
    pub(crate) fn change<T>(
        &self,
        durability: Durability,
        mut attempt: impl FnMut() -> Result<Attempt<T>>,
    ) -> Result<T> {
        loop {
            match attempt()? {
                Attempt::Done(answer) => return Ok(answer),
                Attempt::Commit(batch, answer) => {
                    if let Outcome::Committed(_) = self.inner.engine.commit(batch, durability)? {
                        return Ok(answer);
                    }
                }
            }
        }
    }
}
