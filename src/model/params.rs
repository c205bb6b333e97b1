//! Building and reading parameters.

use crate::proto::Params;

/// Parameters of a process (its settings) or of one work item.
///
/// ```
/// use procstate::Params;
///
/// let params = Params::new().int("keysPerAccount", 8).string("region", "eu");
/// assert_eq!(params.get_int("keysPerAccount"), Some(8));
/// assert_eq!(params.get_string("region"), Some("eu"));
/// assert_eq!(params.get_int("region"), None);
/// ```
impl Params {
    /// Returns an empty set of parameters.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the integer `value` under `name`.
    #[must_use]
    pub fn int(mut self, name: impl Into<String>, value: i64) -> Self {
        self.int_params.insert(name.into(), value);
        self
    }

    /// Adds the string `value` under `name`.
    #[must_use]
    pub fn string(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.string_params.insert(name.into(), value.into());
        self
    }

    /// Returns the integer under `name`.
    #[must_use]
    pub fn get_int(&self, name: &str) -> Option<i64> {
        self.int_params.get(name).copied()
    }

    /// Returns the string under `name`.
    #[must_use]
    pub fn get_string(&self, name: &str) -> Option<&str> {
        self.string_params.get(name).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_by_name_and_type() {
        let params = Params::new().int("keys", 8).string("region", "eu");
        assert_eq!((params.get_int("keys"), params.get_string("region")), (Some(8), Some("eu")));
        assert_eq!((params.get_int("region"), params.get_string("keys")), (None, None));
        assert_eq!(Params::new().int("n", 1).int("n", -2).get_int("n"), Some(-2), "the last value counts");
    }
}
