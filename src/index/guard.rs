//! Between sled and everybody else: its panics become errors, its errors get
//! words.

use std::path::Path;

use super::quiet;
use crate::error::{self, Error, Failure, Result};

/// What went wrong in a call into sled, before `guard` says where.
pub(crate) enum Fault {
    Sled(sled::Error),
    /// What the index holds is not what was written.
    Damaged(&'static str),
    /// What the caller's own code says.
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

/// Calls into sled. Its panics are assertions on what it reads: after one, as
/// after any error, the index is not to be used any more.
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
            // sled itself is fine: what else it holds can be read.
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
    // For programmers of sled.
    tracing::debug!(%why, action, "sled ended with a panic");
    Err(error("it is damaged, or sled failed".to_owned()))
}
