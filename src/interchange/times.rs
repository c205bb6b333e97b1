//! Finds times that JSON cannot represent.
//!
//! Binary can hold any seconds and nanoseconds. Canonical JSON allows only times of the years 1 to
//! 9999 and periods of up to 10,000 years, with nanoseconds in range and of the same sign; a
//! serializer turns anything else into a different time.

use prost_reflect::{DynamicMessage, ReflectMessage, Value};

const YEAR_1: i64 = -62_135_596_800;
const YEAR_9999_END: i64 = 253_402_300_799;
const PERIOD_SECONDS_MAX: i64 = 315_576_000_000;

/// Returns the path of a time or period that JSON cannot represent.
pub(super) fn unsayable(message: &DynamicMessage) -> Option<String> {
    message
        .fields()
        .find_map(|(field, value)| unsayable_value(value).map(|path| format!("{}{path}", field.json_name())))
}

fn unsayable_value(value: &Value) -> Option<String> {
    match value {
        Value::Message(message) => match is_sayable(message) {
            Some(true) => None,
            Some(false) => Some(String::new()),
            None => unsayable(message).map(|path| format!(".{path}")),
        },
        Value::List(values) => (0..)
            .zip(values)
            .find_map(|(n, value): (usize, _)| unsayable_value(value).map(|path| format!("[{n}]{path}"))),
        Value::Map(values) => values.iter().find_map(|(key, value)| {
            let key = key.as_str().unwrap_or_default();
            unsayable_value(value).map(|path| format!("[{key:?}]{path}"))
        }),
        _ => None,
    }
}

/// Reports whether JSON can represent a time or a period; `None` for any other message.
fn is_sayable(message: &DynamicMessage) -> Option<bool> {
    let number = |name| message.get_field_by_name(name);
    let seconds = || number("seconds").and_then(|value| value.as_i64()).unwrap_or_default();
    let nanos = || number("nanos").and_then(|value| value.as_i32()).unwrap_or_default();
    match message.descriptor().full_name() {
        "google.protobuf.Timestamp" => {
            Some((YEAR_1..=YEAR_9999_END).contains(&seconds()) && (0..1_000_000_000).contains(&nanos()))
        }
        "google.protobuf.Duration" => {
            let in_range = seconds().unsigned_abs() <= PERIOD_SECONDS_MAX.unsigned_abs()
                && nanos().unsigned_abs() < 1_000_000_000;
            Some(in_range && seconds().signum() * i64::from(nanos()).signum() >= 0)
        }
        _ => None,
    }
}
