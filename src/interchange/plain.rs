//! A fast path: reads plain JSON directly into messages.
//!
//! Plain JSON has names in camel case, no duplicates, no nulls, and integers without fractions:
//! what `to_json` writes, and a little more. Everything else is left to the reader that uses the
//! schema: it is ten times as slow, accepts every form of canonical JSON, and explains errors. Both
//! readers agree on plain JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use prost_types::{Duration, Timestamp};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::proto::{Params, Process, RunError, State, Status, Work};

/// The first second of the year 1, and the last of 9999.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// 10,000 years, the limit of the schema's `Duration`.
const DURATION_SECONDS_MAX: u64 = 315_576_000_000;

/// Reads a sequence of processes; `None` if some of the text is not plain.
pub(super) fn read(text: &[u8]) -> Option<Vec<Process>> {
    let processes = serde_json::Deserializer::from_slice(text).into_iter::<Plain<Process>>();
    processes.map(|process| process.map(|Plain(process)| process)).collect::<Result<_, _>>().ok()
}

/// A type that can be read from plain JSON.
trait Read<'de>: Sized {
    fn read<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

/// Adapts such a type to serde.
struct Plain<T>(T);

impl<'de, T: Read<'de>> Deserialize<'de> for Plain<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::read(deserializer).map(Self)
    }
}

/// Reads an object as a message with known fields, each at most once.
macro_rules! object {
    ($message:ident { $($name:literal => $field:ident,)* }) => {
        impl<'de> Read<'de> for $message {
            fn read<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_map(Expecting(PhantomData::<$message>))
            }
        }

        impl<'de> Visitor<'de> for Expecting<$message> {
            type Value = $message;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<$message, A::Error> {
                let mut message = $message::default();
                $(let mut $field = false;)*
                while let Some(name) = map.next_key::<&str>()? {
                    match name {
                        $($name if !$field => {
                            $field = true;
                            fill(&mut message.$field, &mut map)?;
                        })*
                        _ => return Err(A::Error::custom("an unknown or duplicate field")),
                    }
                }
                Ok(message)
            }
        }
    };
}

/// Reads the value of a field.
fn fill<'de, T: Read<'de>, A: MapAccess<'de>>(field: &mut T, map: &mut A) -> Result<(), A::Error> {
    *field = map.next_value::<Plain<T>>()?.0;
    Ok(())
}

/// Reads one kind of value.
struct Expecting<T>(PhantomData<T>);

object!(Process {
    "processName" => process_name,
    "instance" => instance,
    "scheduleFrequency" => schedule_frequency,
    "activeWork" => active_work,
    "cleanupWork" => cleanup_work,
    "droppedWork" => dropped_work,
    "settings" => settings,
    "settingsTime" => settings_time,
    "processStatus" => process_status,
    "aggregateStats" => aggregate_stats,
});

object!(Work {
    "modified" => modified,
    "params" => params,
    "status" => status,
});

object!(Params {
    "intParams" => int_params,
    "stringParams" => string_params,
});

object!(Status {
    "startTime" => start_time,
    "progressTime" => progress_time,
    "finishTime" => finish_time,
    "lastErrorTime" => last_error_time,
    "stats" => stats,
    "errors" => errors,
    "totalErrors" => total_errors,
    "state" => state,
});

object!(RunError {
    "time" => time,
    "text" => text,
});

impl<'de, T: Read<'de>> Read<'de> for Option<T> {
    fn read<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::read(deserializer).map(Some)
    }
}

impl<'de, T: Read<'de>> Read<'de> for BTreeMap<String, T> {
    fn read<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Expecting(PhantomData::<BTreeMap<String, T>>))
    }
}

impl<'de, T: Read<'de>> Visitor<'de> for Expecting<BTreeMap<String, T>> {
    type Value = BTreeMap<String, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((name, Plain(value))) = map.next_entry::<String, Plain<T>>()? {
            entries.push((name, value));
        }
        let count = entries.len();
        let entries = BTreeMap::from_iter(entries);
        if entries.len() == count { Ok(entries) } else { Err(A::Error::custom("a duplicate name")) }
    }
}

impl<'de, T: Read<'de>> Read<'de> for Vec<T> {
    fn read<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Expecting(PhantomData::<Vec<T>>))
    }
}

impl<'de, T: Read<'de>> Visitor<'de> for Expecting<Vec<T>> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Plain(value)) = seq.next_element()? {
            values.push(value);
        }
        Ok(values)
    }
}

impl<'de> Read<'de> for String {
    fn read<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(deserializer)
    }
}

/// Quoted, since not every JSON reader supports so many digits.
impl<'de> Read<'de> for i64 {
    fn read<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Numbers only, and no negative zero, whose sign the schema's reader loses.
impl<'de> Read<'de> for f64 {
    fn read<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = Self::deserialize(deserializer)?;
        if number == 0.0 && number.is_sign_negative() {
            return Err(D::Error::custom("a negative zero"));
        }
        Ok(number)
    }
}

/// The only enumeration of the schema, by name.
impl<'de> Read<'de> for i32 {
    fn read<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let state = State::from_str_name(<&str>::deserialize(deserializer)?);
        state.map(Self::from).ok_or_else(|| D::Error::custom("no state"))
    }
}

impl<'de> Read<'de> for Timestamp {
    fn read<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&str>::deserialize(deserializer)?;
        let time = if is_utc(text) { Timestamp::from_str(text).ok() } else { None };
        let time = time.filter(|time| SECONDS.contains(&time.seconds));
        time.ok_or_else(|| D::Error::custom("no plain time"))
    }
}

/// Reports whether a text looks like `2026-11-01T00:00:00Z` or `2026-11-01T00:00:00.123Z`.
fn is_utc(text: &str) -> bool {
    let Some((date, rest)) = text.as_bytes().split_first_chunk::<19>() else { return false };
    let looks_like = |(byte, form): (&u8, &u8)| {
        if *form == b'0' { byte.is_ascii_digit() } else { byte == form }
    };
    let is_fraction =
        |digits: &[u8]| (1..=9).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    date.iter().zip(b"0000-00-00T00:00:00").all(looks_like)
        // The schema's reader refuses leap seconds with their position.
        && !date.ends_with(b":60")
        && match rest {
            [b'Z'] => true,
            [b'.', digits @ .., b'Z'] => is_fraction(digits),
            _ => false,
        }
}

impl<'de> Read<'de> for Duration {
    fn read<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let duration = Duration::from_str(<&str>::deserialize(deserializer)?).ok();
        let duration = duration.filter(|duration| duration.seconds.unsigned_abs() <= DURATION_SECONDS_MAX);
        duration.ok_or_else(|| D::Error::custom("no plain duration"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::*;

    fn slowly(text: &str) -> Option<Vec<Process>> {
        json::read("in", text.as_bytes(), super::super::Unknown::Reject).ok()
    }

    /// Every field of the schema in the form of `to_json`.
    const WHOLE: &str = r#"{"activeWork":{"w":{"modified":"2026-11-01T00:00:00Z","params":{"intParams":{"n":"-8"},"stringParams":{"s":"t\n"}},"status":{"errors":[{"text":"e","time":"2026-11-01T00:00:00.120Z"}],"finishTime":"2026-11-01T00:00:00Z","lastErrorTime":"2026-11-01T00:00:00Z","progressTime":"2026-11-01T00:00:00Z","startTime":"0001-01-01T00:00:00Z","state":"COMPLETED","stats":{"x":0.5},"totalErrors":"1"}}},"aggregateStats":{"runs":3.0},"cleanupWork":{"c":"9999-12-31T23:59:59.999999999Z"},"droppedWork":{"d":"1969-12-31T23:59:59.500Z"},"instance":"i","processName":"p","processStatus":{"state":"ACTIVE"},"scheduleFrequency":"-3600.500s","settings":{},"settingsTime":"2026-11-01T00:00:00Z"}"#;

    #[test]
    fn written_json_is_plain() {
        let processes = read(WHOLE.as_bytes()).unwrap();
        assert_eq!(json::to_json(&processes[0]).unwrap(), WHOLE);
        assert_eq!(Some(processes), slowly(WHOLE));
        assert_eq!(read(format!("{WHOLE}\n{WHOLE}{{}}").as_bytes()).map(|read| read.len()), Some(3));
    }

    #[test]
    fn ambiguous_json_is_not_plain() {
        for text in [
            "[]",
            "null",
            "{}x",
            r#"["p"]"#,
            r#"{"process_name":"p"}"#,
            r#"{"processName":null}"#,
            r#"{"settings":[{}]}"#,
            r#"{"settings":null}"#,
            r#"{"instance":"a","instance":"a"}"#,
            r#"{"activeWork":{"w":{},"w":{}}}"#,
            r#"{"activeWork":{"w":null}}"#,
            r#"{"nobody":1}"#,
            r#"{"aggregateStats":{"x":-0.0}}"#,
            r#"{"aggregateStats":{"x":"NaN"}}"#,
            r#"{"processStatus":{"totalErrors":1.0}}"#,
            r#"{"processStatus":{"state":5}}"#,
            r#"{"processStatus":{"state":"OTHER"}}"#,
            r#"{"settingsTime":"2026-11-01T00:00:00+01:00"}"#,
            r#"{"settingsTime":"2026-11-01 00:00:00Z"}"#,
            r#"{"settingsTime":"0000-12-31T00:00:00Z"}"#,
            r#"{"settingsTime":"2026-02-30T00:00:00Z"}"#,
            r#"{"scheduleFrequency":"315576000001s"}"#,
        ] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }
}
