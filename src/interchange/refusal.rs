//! The treatment of unknown fields, and errors.

use crate::error::{Error, Failure};

/// How to treat fields that the schema does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unknown {
    /// Return an error.
    Reject,
    /// Skip them.
    Ignore,
}

pub(super) fn invalid(source: &str, position: String, why: String) -> Error {
    Failure::Input { source_name: source.to_owned(), position, why }.into()
}
