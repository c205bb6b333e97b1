//! Refuses JSON that the parser would accept with a silent loss: duplicate names in an object, and
//! times that would be truncated.

use std::collections::HashSet;
use std::fmt;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// The schema type of a JSON value, as far as it matters here.
#[derive(Debug, Clone)]
pub(super) enum Strict {
    /// A message, or an array of messages.
    Message(MessageDescriptor),
    /// An object whose members have the same type.
    Map(Box<Strict>),
    Time,
    Period,
    Anything,
}

impl Strict {
    pub(super) fn of(message: MessageDescriptor) -> Self {
        match message.full_name() {
            "google.protobuf.Timestamp" => Self::Time,
            "google.protobuf.Duration" => Self::Period,
            _ => Self::Message(message),
        }
    }

    fn of_field(field: &FieldDescriptor) -> Self {
        match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                Self::Map(Box::new(Self::of_field(&entry.map_entry_value_field())))
            }
            Kind::Message(message) => Self::of(message),
            _ => Self::Anything,
        }
    }

    fn member(&self, name: &str) -> Self {
        match self {
            Self::Message(message) => {
                let field = message.get_field_by_json_name(name).or_else(|| message.get_field_by_name(name));
                field.map_or(Self::Anything, |field| Self::of_field(&field))
            }
            Self::Map(value) => (**value).clone(),
            Self::Time | Self::Period | Self::Anything => Self::Anything,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if names.contains(&name) {
                return Err(A::Error::custom(format!("{name:?} occurs twice in one object")));
            }
            let member = self.member(&name);
            names.insert(name);
            map.next_value_seed(member)?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(self.clone())?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let why = match self {
            Self::Time => time_refusal(text),
            Self::Period => digits_refusal(text),
            _ => None,
        };
        why.map_or(Ok(()), |why| Err(E::custom(format!("{text:?} {why}"))))
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Returns why a time would not be read exactly as written, if so.
fn time_refusal(text: &str) -> Option<&'static str> {
    // "2026-06-30T23:59:60": the seconds are the two digits after the second colon.
    let seconds = text.splitn(3, ':').nth(2).and_then(|rest| rest.get(..2));
    if seconds == Some("60") {
        return Some(
            "is a leap second, which a timestamp cannot represent; give the second before or after it",
        );
    }
    digits_refusal(text)
}

fn digits_refusal(text: &str) -> Option<&'static str> {
    let (_, rest) = text.split_once('.')?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    (digits > 9).then_some("has more than nine fractional digits; give nanoseconds at most")
}
