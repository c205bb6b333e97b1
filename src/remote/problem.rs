//! Errors on the wire, which reach a caller in the program's own words.

use crate::error::{Error, Failure, Trouble, chain};
use crate::proto::engine::Problem;
use crate::proto::engine::problem::Kind;

impl Problem {
    pub(super) fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind: kind.into(), text: text.into() }
    }

    /// Converts the problem into the error of a caller of `place`.
    pub(super) fn into_error(self, place: &str) -> Error {
        let kind = self.kind();
        let trouble = match kind {
            Kind::Closed => {
                let why = "it is closing the store".to_owned();
                return Failure::Unreachable { place: place.to_owned(), why }.into();
            }
            Kind::OtherOpening | Kind::Protocol => {
                return Failure::Unreachable { place: place.to_owned(), why: self.text }.into();
            }
            Kind::Corrupt => Trouble::Corrupt,
            Kind::Poisoned => Trouble::Poisoned,
            Kind::DiskFull => Trouble::DiskFull,
            Kind::Invalid | Kind::ReadOnly => Trouble::Invalid,
            Kind::Other => Trouble::Other,
        };
        Failure::Remote { trouble, text: self.text }.into()
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let kind = match error.failure() {
            Failure::Closed => Kind::Closed,
            _ if error.is_corrupt() => Kind::Corrupt,
            _ if error.is_poisoned() => Kind::Poisoned,
            _ if error.is_disk_full() => Kind::DiskFull,
            _ if error.is_invalid() => Kind::Invalid,
            _ => Kind::Other,
        };
        Self::new(kind, chain(&error))
    }
}
