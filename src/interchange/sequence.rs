//! Reads one JSON value that is a process or an array of processes.

use std::fmt;

use prost_reflect::{DeserializeOptions, DynamicMessage, MessageDescriptor};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Reads the messages of one value.
pub(super) struct OneOrMany<'a> {
    pub(super) message: MessageDescriptor,
    pub(super) options: &'a DeserializeOptions,
}

impl<'de> DeserializeSeed<'de> for OneOrMany<'_> {
    type Value = Vec<DynamicMessage>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for OneOrMany<'_> {
    type Value = Vec<DynamicMessage>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object, or an array of objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let one = One { message: self.message, options: self.options };
        Ok(vec![one.deserialize(MapAccessDeserializer::new(map))?])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Self::Value, A::Error> {
        let mut messages = Vec::new();
        while let Some(message) =
            values.next_element_seed(One { message: self.message.clone(), options: self.options })?
        {
            messages.push(message);
        }
        Ok(messages)
    }
}

struct One<'a> {
    message: MessageDescriptor,
    options: &'a DeserializeOptions,
}

impl<'de> DeserializeSeed<'de> for One<'_> {
    type Value = DynamicMessage;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<DynamicMessage, D::Error> {
        DynamicMessage::deserialize_with_options(self.message, deserializer, self.options)
    }
}
