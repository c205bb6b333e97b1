//! What is refused, and how a refusal is told.

use crate::error::{Error, Failure};

/// What to do about fields that the schema does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unknown {
    /// They are an error.
    Reject,
    /// They are left out.
    Ignore,
}

pub(super) fn invalid(source: &str, position: String, why: String) -> Error {
    Failure::Input { source_name: source.to_owned(), position, why }.into()
}
