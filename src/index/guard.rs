//! The boundary to sled: turns its panics into errors, and its errors into messages.

use std::path::Path;

use super::quiet;
use crate::error::{self, Error, Failure, Result};

/// The cause of a failed sled call, before `guard` adds the place.
pub(crate) enum Fault {
    Sled(sled::Error),
    /// The content of the index is damaged.
    Damaged(&'static str),
    /// An error of the caller's own code.
    Other(Error),
}

impl From<sled::Error> for Fault {
    fn from(error: sled::Error) -> Self {
        Self::Sled(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// Calls into sled.
///
/// Its panics are assertions on data that it read; after a panic, as after any error, the index
/// must not be used any more.
pub(super) fn guard<T>(
    dir: &Path,
    action: &'static str,
    call: impl FnOnce() -> Result<T, Fault>,
) -> Result<T> {
    let outcome = quiet::catch(call);
    let is_panic = outcome.is_err();
    let why = match outcome {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(Fault::Other(error))) => return Err(error),
        Ok(Err(Fault::Damaged(why))) => {
            // sled itself is intact, and its other records are readable.
            let place = format!("index {}", dir.display());
            return Err(Failure::Corrupt { place, why: why.to_owned() }.into());
        }
        Ok(Err(Fault::Sled(sled::Error::Corruption { .. }))) => "it is damaged".to_owned(),
        Ok(Err(Fault::Sled(error))) => error.to_string(),
        Err(panic) => error::panic_text(panic),
    };
    let error =
        |why| Error::from(Failure::Storage { place: format!("index {}", dir.display()), action, why });
    let told = error(why.clone());
    if !is_panic || told.is_of_the_system() {
        return Err(told);
    }
    // For debugging sled.
    tracing::debug!(%why, action, "sled panicked");
    Err(error("it is damaged, or sled failed".to_owned()))
}
