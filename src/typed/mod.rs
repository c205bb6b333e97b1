//! Converts parameters to and from user types with serde (feature `serde`).
//!
//! Parameters are integers and strings by name. Supported are these, booleans as 0 and 1,
//! characters and unit variants as strings, and optional fields, which are absent if `None`. Errors
//! name the field that has any other type.

mod misfit;
mod read;
mod write;

use misfit::Misfit;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::proto::Params;

impl Params {
    /// Converts the parameters to a `T`.
    ///
    /// ```
    /// use procstate::Params;
    ///
    /// #[derive(serde::Deserialize, serde::Serialize, PartialEq, Debug)]
    /// struct Rotate {
    ///     keys: u32,
    ///     region: String,
    ///     dry_run: Option<bool>,
    /// }
    ///
    /// let rotate: Rotate = Params::new().int("keys", 8).string("region", "eu").to()?;
    /// assert_eq!(rotate, Rotate { keys: 8, region: "eu".to_owned(), dry_run: None });
    /// let params = Params::from_serde(&Rotate { dry_run: Some(true), ..rotate })?;
    /// assert_eq!(params, Params::new().int("dry_run", 1).int("keys", 8).string("region", "eu"));
    ///
    /// let error = Params::new().int("keys", -1).string("region", "eu").to::<Rotate>().unwrap_err();
    /// assert!(error.to_string().ends_with("keys: invalid value: integer `-1`, expected u32"), "{error}");
    /// # Ok::<(), procstate::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`is_invalid`](Error::is_invalid), with the name of the field, if one is missing, has
    /// another type, or is out of range.
    pub fn to<T: DeserializeOwned>(&self) -> Result<T> {
        T::deserialize(read::Reader(self)).map_err(|error| read_error::<T>(&error))
    }

    /// Converts a struct or a map to parameters.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](Error::is_invalid), with the name of the field, if one is a float, a list, a
    /// struct or a map, or an integer that does not fit an `i64`.
    pub fn from_serde<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        value
            .serialize(write::Writer)
            .map_err(|error| Error::argument(format!("{} cannot be parameters: {error}", short_name::<T>())))
    }
}

fn read_error<T>(error: &Misfit) -> Error {
    Error::argument(format!("the parameters do not fit {}: {error}", short_name::<T>()))
}

/// Returns the name of a type without its path.
fn short_name<T: ?Sized>() -> &'static str {
    let name = std::any::type_name::<T>();
    let end = name.find('<').unwrap_or(name.len());
    let begin = name.get(..end).and_then(|path| path.rfind("::")).map_or(0, |at| at + 2);
    name.get(begin..).unwrap_or(name)
}

#[cfg(test)]
mod tests;
