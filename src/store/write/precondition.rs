//! Conditional changes.

use crate::error::{Failure, Result};

/// A condition on a record that must hold for a change.
///
/// Otherwise the call fails with [`is_precondition_failed`](crate::Error::is_precondition_failed)
/// and changes nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Precondition {
    /// No condition.
    #[default]
    None,
    /// The record does not exist yet.
    Absent,
    /// The record exists.
    Present,
    /// The record has this version.
    Version(u64),
}

impl Precondition {
    /// Checks a record of this version, which `describe` names in errors.
    pub(crate) fn check(self, version: Option<u64>, describe: impl FnOnce() -> String) -> Result<()> {
        let holds = match self {
            Self::None => true,
            Self::Absent => version.is_none(),
            Self::Present => version.is_some(),
            Self::Version(expected) => version == Some(expected),
        };
        if holds {
            return Ok(());
        }
        let expected = match self {
            Self::Version(expected) => format!("only if it is at version {expected}"),
            Self::Absent => "only if it does not exist yet".to_owned(),
            Self::None | Self::Present => "only if it exists".to_owned(),
        };
        let found =
            version.map_or("it does not exist".to_owned(), |version| format!("it is at version {version}"));
        Err(Failure::Precondition { record: describe(), expected, found }.into())
    }
}
