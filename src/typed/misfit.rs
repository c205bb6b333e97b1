//! Conversion errors.

use std::fmt::Display;

/// Why a value cannot be converted.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Misfit(pub(super) String);

impl Misfit {
    pub(super) fn of(field: &str, why: impl Display) -> Self {
        Self(format!("{field}: {why}"))
    }
}

impl serde::de::Error for Misfit {
    fn custom<T: Display>(why: T) -> Self {
        Self(why.to_string())
    }
}

impl serde::ser::Error for Misfit {
    fn custom<T: Display>(why: T) -> Self {
        Self(why.to_string())
    }
}
