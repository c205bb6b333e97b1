//! Changes that are made only to what the caller has seen.

use crate::error::{Failure, Result};

/// What must hold of a record for a change to be made. If it does not, the call fails with
/// [`is_precondition_failed`](crate::Error::is_precondition_failed), and nothing is changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Precondition {
    /// Nothing.
    #[default]
    None,
    /// It is not there yet.
    Absent,
    /// It is there.
    Present,
    /// It is as it was when it had this version.
    Version(u64),
}

impl Precondition {
    /// Checks it of the record that `describe` names, which has this version.
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
            Self::Absent => "only if there is none yet".to_owned(),
            Self::None | Self::Present => "only if it is there".to_owned(),
        };
        let found =
            version.map_or("there is none".to_owned(), |version| format!("it is at version {version}"));
        Err(Failure::Precondition { record: describe(), expected, found }.into())
    }
}
