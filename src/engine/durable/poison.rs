//! Poisoning: after a failed write or sync the content of the disk is unknown, so nothing is read
//! or written until the store is reopened.

use std::sync::OnceLock;

use crate::error::{self, Error, Failure, Result};

/// Stores the first failure.
#[derive(Debug)]
pub(crate) struct Poison {
    place: String,
    cause: OnceLock<String>,
}

impl Poison {
    /// `place` names the store in messages.
    pub(crate) fn new(place: String) -> Self {
        Self { place, cause: OnceLock::new() }
    }

    /// Fails if the store is poisoned.
    pub(crate) fn check(&self) -> Result<()> {
        match self.cause.get() {
            None => Ok(()),
            Some(cause) => Err(Failure::Poisoned { place: self.place.clone(), cause: cause.clone() }.into()),
        }
    }

    /// Poisons the store if the result is an error, and returns the result.
    ///
    /// A damaged record does not poison it: it is detected before anything is written, and fails
    /// only the calls that need it.
    pub(crate) fn on_error<T>(&self, result: Result<T>) -> Result<T> {
        result.inspect_err(|error| {
            if !error.is_corrupt() {
                self.poison(error);
            }
        })
    }

    pub(crate) fn poison(&self, error: &Error) {
        let text = error::chain(error);
        if self.cause.set(text.clone()).is_ok() {
            tracing::error!(store = %self.place, cause = %text, "store poisoned");
        }
    }
}
