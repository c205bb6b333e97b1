//! Converts parameters to a type.

use std::collections::btree_map;
use std::iter::Peekable;

use serde::de::value::{BorrowedStrDeserializer, StrDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::misfit::Misfit;
use crate::proto::Params;

pub(super) struct Reader<'a>(pub(super) &'a Params);

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let (ints, strings) = (&self.0.int_params, &self.0.string_params);
        if let Some(name) = ints.keys().find(|name| strings.contains_key(*name)) {
            return Err(Misfit::of(name, "there are a number and a string of this name"));
        }
        visitor.visit_map(Members { ints: ints.iter().peekable(), strings: strings.iter(), value: None })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Members<'de> {
    ints: Peekable<btree_map::Iter<'de, String, i64>>,
    strings: btree_map::Iter<'de, String, String>,
    /// The value of the last name.
    value: Option<(&'de str, Value<'de>)>,
}

impl<'de> MapAccess<'de> for Members<'de> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Misfit> {
        let int = self.ints.next().map(|(name, value)| (name.as_str(), Value::Int(*value)));
        let string = || self.strings.next().map(|(name, value)| (name.as_str(), Value::Text(value)));
        self.value = int.or_else(string);
        let Some((name, _)) = self.value else { return Ok(None) };
        seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Misfit> {
        let (name, value) = self.value.take().ok_or_else(|| Misfit::custom("a value without a name"))?;
        seed.deserialize(value).map_err(|error| Misfit::of(name, error))
    }
}

#[derive(Clone, Copy)]
enum Value<'de> {
    Int(i64),
    Text(&'de str),
}

impl<'de> Deserializer<'de> for Value<'de> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self {
            Self::Int(value) => visitor.visit_i64(value),
            Self::Text(value) => visitor.visit_borrowed_str(value),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self {
            Self::Int(value @ (0 | 1)) => visitor.visit_bool(value == 1),
            Self::Int(value) => Err(Misfit(format!("it is {value}; a boolean must be 0 or 1"))),
            Self::Text(value) => visitor.visit_borrowed_str(value),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match self {
            Self::Int(value) => self_named(value),
            Self::Text(value) => {
                let text: StrDeserializer<'_, Misfit> = value.into_deserializer();
                visitor.visit_enum(text)
            }
        }
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct map struct identifier ignored_any
    }
}

fn self_named<T>(value: i64) -> Result<T, Misfit> {
    Err(Misfit(format!("it is the number {value}; an enum must be a string")))
}
