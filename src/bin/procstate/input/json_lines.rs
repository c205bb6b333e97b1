//! Parses work with parameters, one JSON object per line:
//! `{"work": "a", "intParams": {"n": 1}, "stringParams": {"s": "x"}}`.
//!
//! The members are named as in the canonical JSON of the schema, and integers may be quoted as
//! there. Duplicate and unknown names are errors, since they would silently lose data.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use procstate::Params;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

const MEMBERS: &[&str] = &["work", "intParams", "stringParams"];

/// One line.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) work: String,
    pub(crate) params: Params,
}

/// Parses a line. The error starts with the column.
pub(crate) fn parse(line: &[u8]) -> Result<Line, String> {
    serde_json::from_slice(line).map_err(|error| {
        let text = error.to_string();
        // The line number is already in front.
        let what = text.split(" at line ").next().unwrap_or(&text);
        format!("column {}: {what}", error.column().max(1))
    })
}

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LineVisitor)
    }
}

struct LineVisitor;

impl<'de> Visitor<'de> for LineVisitor {
    type Value = Line;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object like {\"work\": \"a\", \"intParams\": {\"n\": 1}}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Line, A::Error> {
        let (mut work, mut ints, mut strings) = (None, None, None);
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "work" => set(&mut work, &name, map.next_value::<String>()?)?,
                "intParams" => set(&mut ints, &name, map.next_value::<Members<Whole>>()?.0)?,
                "stringParams" => set(&mut strings, &name, map.next_value::<Members<String>>()?.0)?,
                _ => return Err(A::Error::unknown_field(&name, MEMBERS)),
            }
        }
        let work = work.ok_or_else(|| A::Error::missing_field("work"))?;
        let ints = ints.unwrap_or_default().into_iter().map(|(name, Whole(value))| (name, value));
        let mut params = Params::new();
        params.int_params = ints.collect();
        params.string_params = strings.unwrap_or_default();
        Ok(Line { work, params })
    }
}

fn set<T, E: Error>(place: &mut Option<T>, name: &str, value: T) -> Result<(), E> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(twice(name)),
    }
}

fn twice<E: Error>(name: &str) -> E {
    E::custom(format!("{name:?} occurs twice in one object"))
}

/// An object with unique names.
struct Members<T>(BTreeMap<String, T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Members<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor(PhantomData))
    }
}

struct MembersVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for MembersVisitor<T> {
    type Value = Members<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<T>, A::Error> {
        let mut members = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value()?;
            if members.contains_key(&name) {
                return Err(twice(&name));
            }
            members.insert(name, value);
        }
        Ok(Members(members))
    }
}

/// An integer, which may be quoted.
struct Whole(i64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WholeVisitor)
    }
}

struct WholeVisitor;

impl Visitor<'_> for WholeVisitor {
    type Value = Whole;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a 64-bit integer")
    }

    fn visit_i64<E>(self, value: i64) -> Result<Whole, E> {
        Ok(Whole(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Whole, E> {
        let unexpected = serde::de::Unexpected::Unsigned(value);
        i64::try_from(value).map(Whole).map_err(|_| E::invalid_value(unexpected, &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Whole, E> {
        let unexpected = serde::de::Unexpected::Str(text);
        text.parse().map(Whole).map_err(|_| E::invalid_value(unexpected, &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_work_and_parameters() {
        let line = parse(br#"{"stringParams": {"s": "x"}, "work": "a", "intParams": {"n": 1, "m": "-9223372036854775808"}}"#);
        let line = line.unwrap();
        assert_eq!(line.work, "a");
        assert_eq!(line.params, Params::new().int("n", 1).int("m", i64::MIN).string("s", "x"));
        assert_eq!(parse(br#"{"work": ""}"#).unwrap().params, Params::new());
    }

    #[test]
    fn lossy_input_is_refused() {
        for (line, why) in [
            (r#"{"work": "a", "work": "b"}"#, "column 26: \"work\" occurs twice in one object"),
            (
                r#"{"work": "a", "intParams": {"n": 1, "n": 1}}"#,
                "column 43: \"n\" occurs twice in one object",
            ),
            (
                r#"{"work": "a", "params": {}}"#,
                "column 22: unknown field `params`, expected one of `work`, `intParams`, `stringParams`",
            ),
            (r#"{"intParams": {}}"#, "column 17: missing field `work`"),
            (
                r#"{"work": "a", "intParams": {"n": 1.5}}"#,
                "column 36: invalid type: floating point `1.5`, expected a 64-bit integer",
            ),
            (
                r#"{"work": "a", "intParams": {"n": 9223372036854775808}}"#,
                "column 52: invalid value: integer `9223372036854775808`, expected a 64-bit integer",
            ),
            (r#"{"work": "a"} {"work": "b"}"#, "column 15: trailing characters"),
            ("a", "column 1: expected value"),
            (
                "[]",
                "column 1: invalid type: sequence, expected an object like {\"work\": \"a\", \"intParams\": {\"n\": 1}}",
            ),
        ] {
            assert_eq!(parse(line.as_bytes()).unwrap_err(), why, "{line}");
        }
    }
}
