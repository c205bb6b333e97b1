//! Between sled and everybody else: its panics become errors, its errors get
//! words.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::error::{Error, Failure, Result};

/// A sled error on its way to [`guard`], which knows the place and the action.
impl From<sled::Error> for Error {
    fn from(error: sled::Error) -> Self {
        let why = match &error {
            sled::Error::Corruption { .. } => "the index is damaged".to_owned(),
            other => other.to_string(),
        };
        Failure::Storage { place: String::new(), action: "", why }.into()
    }
}

/// Calls into sled. Its panics are assertions on what it reads: after one, as
/// after any error, the index is not to be used any more.
pub(super) fn guard<T>(dir: &Path, named: &'static str, call: impl FnOnce() -> Result<T>) -> Result<T> {
    let result = catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let why = format!("the index is damaged, or sled failed: {}", panic_text(panic.as_ref()));
        Err(Failure::Storage { place: String::new(), action: "", why }.into())
    });
    result.map_err(|error| match error.into_failure() {
        Failure::Storage { place, why, .. } if place.is_empty() => {
            Failure::Storage { place: format!("index {}", dir.display()), action: named, why }.into()
        }
        other => other.into(),
    })
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "unknown panic".to_owned())
}
