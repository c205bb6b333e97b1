//! Parameters in requests: canonical protobuf JSON, in which an integer is a string or a number.

use std::collections::BTreeMap;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::Params;

/// All parameters.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ParamsBody {
    #[serde(default)]
    int_params: BTreeMap<String, Whole>,
    #[serde(default)]
    string_params: BTreeMap<String, String>,
}

/// A patch of parameters: `null` removes one.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ParamsPatch {
    #[serde(default)]
    int_params: BTreeMap<String, Option<Whole>>,
    #[serde(default)]
    string_params: BTreeMap<String, Option<String>>,
}

impl From<ParamsBody> for Params {
    fn from(body: ParamsBody) -> Self {
        Self {
            int_params: body.int_params.into_iter().map(|(name, Whole(value))| (name, value)).collect(),
            string_params: body.string_params,
        }
    }
}

/// Converts parameters to JSON.
pub(crate) fn to_value(params: &Params) -> Value {
    let ints: BTreeMap<&String, String> =
        params.int_params.iter().map(|(name, value)| (name, value.to_string())).collect();
    json!({ "intParams": ints, "stringParams": params.string_params })
}

impl ParamsPatch {
    pub(crate) fn apply(&self, params: &mut Params) {
        for (name, value) in &self.int_params {
            match value {
                Some(Whole(value)) => params.int_params.insert(name.clone(), *value),
                None => params.int_params.remove(name),
            };
        }
        for (name, value) in &self.string_params {
            match value {
                Some(value) => params.string_params.insert(name.clone(), value.clone()),
                None => params.string_params.remove(name),
            };
        }
    }
}

/// A 64-bit integer, as a string or a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Whole(i64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Digits)
    }
}

struct Digits;

impl Visitor<'_> for Digits {
    type Value = Whole;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a 64-bit integer, as a string or a number")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Whole, E> {
        Ok(Whole(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Whole, E> {
        i64::try_from(value).map(Whole).map_err(|_| E::custom(format!("{value} does not fit 64 bits")))
    }

    #[allow(clippy::cast_possible_truncation, reason = "it is whole, and within what a double tells apart")]
    fn visit_f64<E: Error>(self, value: f64) -> Result<Whole, E> {
        const EXACT_MAX: f64 = (1_u64 << 53) as f64;
        // Some JSON writers do not distinguish 1 and 1.0.
        if value.fract() == 0.0 && value.abs() <= EXACT_MAX {
            return Ok(Whole(value as i64));
        }
        Err(E::invalid_type(Unexpected::Float(value), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Whole, E> {
        text.parse().map(Whole).map_err(|error| E::custom(format!("{text:?}: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_strings_or_numbers() {
        let read = |text: &str| serde_json::from_str::<ParamsBody>(text).map(Params::from);
        let params =
            read(r#"{"intParams": {"a": "-9223372036854775808", "b": 7.0}, "stringParams": {"c": ""}}"#);
        assert_eq!(params.unwrap(), Params::new().int("a", i64::MIN).int("b", 7).string("c", ""));
        for text in ["1.5", "1e18", "\"x\"", "null", "9223372036854775808", "true", "\"\""] {
            assert!(read(&format!("{{\"intParams\": {{\"a\": {text}}}}}")).is_err(), "{text}");
        }
        assert!(read(r#"{"intParam": {}}"#).is_err());
    }

    #[test]
    fn a_patch_keeps_other_parameters() {
        let patch: ParamsPatch = serde_json::from_str(
            r#"{"intParams": {"a": null, "b": 2}, "stringParams": {"c": "x", "d": null}}"#,
        )
        .unwrap();
        let mut params = Params::new().int("a", 1).int("z", 9).string("d", "y");
        patch.apply(&mut params);
        assert_eq!(params, Params::new().int("b", 2).int("z", 9).string("c", "x"));
    }
}
