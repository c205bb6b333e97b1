//! Converts a type to parameters.

use serde::Serialize;
use serde::ser::{Error, Impossible, SerializeMap, SerializeStruct, Serializer};

use super::misfit::Misfit;
use crate::proto::Params;

const NOT_NAMED: &str = "parameters have names; it must be a struct or a map";
const NESTED: &str = "it is nested; parameters are integers and strings";
const FRACTION: &str = "it is a fraction, which parameters cannot hold; store it as a string, or as an integer in a smaller unit";
const TOO_LARGE: &str = "it is out of the range of signed 64-bit integers";

pub(super) struct Writer;

/// The parameters converted so far.
#[derive(Default)]
pub(super) struct Members {
    params: Params,
    /// The name of a map's next value.
    name: Option<String>,
}

impl Members {
    fn add<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Misfit> {
        match value.serialize(ValueWriter).map_err(|error| Misfit::of(name, error))? {
            Value::None => {}
            Value::Int(value) => drop(self.params.int_params.insert(name.to_owned(), value)),
            Value::Text(value) => drop(self.params.string_params.insert(name.to_owned(), value)),
        }
        Ok(())
    }
}

impl SerializeStruct for Members {
    type Ok = Params;
    type Error = Misfit;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Misfit> {
        self.add(name, value)
    }

    fn end(self) -> Result<Params, Misfit> {
        Ok(self.params)
    }
}

impl SerializeMap for Members {
    type Ok = Params;
    type Error = Misfit;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, name: &T) -> Result<(), Misfit> {
        match name.serialize(ValueWriter)? {
            Value::Text(name) => self.name = Some(name),
            Value::Int(_) | Value::None => return Err(Misfit::custom("a name that is not a string")),
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Misfit> {
        let name = self.name.take().ok_or_else(|| Misfit::custom("a value without a name"))?;
        self.add(&name, value)
    }

    fn end(self) -> Result<Params, Misfit> {
        Ok(self.params)
    }
}

/// The value of one parameter.
enum Value {
    None,
    Int(i64),
    Text(String),
}

struct ValueWriter;

/// Implements serializer methods that return an error.
macro_rules! refuse {
    ($ok:ty, $why:expr; $($method:ident($($type:ty),*)),* $(,)?) => {$(
        fn $method(self, $(_: $type),*) -> Result<$ok, Misfit> {
            Err(Misfit::custom($why))
        }
    )*};
}

/// Implements compound serializer methods that return an error.
macro_rules! refuse_compound {
    ($ok:ty, $why:expr; $($method:ident($($type:ty),*): $compound:ident),* $(,)?) => {$(
        fn $method(self, $(_: $type),*) -> Result<Self::$compound, Misfit> {
            Err(Misfit::custom($why))
        }
    )*};
}

impl Serializer for Writer {
    type Ok = Params;
    type Error = Misfit;
    type SerializeSeq = Impossible<Params, Misfit>;
    type SerializeTuple = Impossible<Params, Misfit>;
    type SerializeTupleStruct = Impossible<Params, Misfit>;
    type SerializeTupleVariant = Impossible<Params, Misfit>;
    type SerializeMap = Members;
    type SerializeStruct = Members;
    type SerializeStructVariant = Impossible<Params, Misfit>;

    refuse! { Params, NOT_NAMED;
        serialize_bool(bool), serialize_i8(i8), serialize_i16(i16), serialize_i32(i32), serialize_i64(i64),
        serialize_u8(u8), serialize_u16(u16), serialize_u32(u32), serialize_u64(u64), serialize_f32(f32),
        serialize_f64(f64), serialize_char(char), serialize_str(&str), serialize_bytes(&[u8]),
        serialize_none(), serialize_unit(), serialize_unit_variant(&'static str, u32, &'static str),
    }

    refuse_compound! { Params, NOT_NAMED;
        serialize_seq(Option<usize>): SerializeSeq, serialize_tuple(usize): SerializeTuple,
        serialize_tuple_struct(&'static str, usize): SerializeTupleStruct,
        serialize_tuple_variant(&'static str, u32, &'static str, usize): SerializeTupleVariant,
        serialize_struct_variant(&'static str, u32, &'static str, usize): SerializeStructVariant,
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Params, Misfit> {
        value.serialize(self)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Params, Misfit> {
        Ok(Params::default())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Params, Misfit> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Params, Misfit> {
        Err(Misfit::custom(NOT_NAMED))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Members, Misfit> {
        Ok(Members::default())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Members, Misfit> {
        Ok(Members::default())
    }
}

impl Serializer for ValueWriter {
    type Ok = Value;
    type Error = Misfit;
    type SerializeSeq = Impossible<Value, Misfit>;
    type SerializeTuple = Impossible<Value, Misfit>;
    type SerializeTupleStruct = Impossible<Value, Misfit>;
    type SerializeTupleVariant = Impossible<Value, Misfit>;
    type SerializeMap = Impossible<Value, Misfit>;
    type SerializeStruct = Impossible<Value, Misfit>;
    type SerializeStructVariant = Impossible<Value, Misfit>;

    refuse! { Value, FRACTION; serialize_f32(f32), serialize_f64(f64) }
    refuse! { Value, NESTED; serialize_bytes(&[u8]) }

    refuse_compound! { Value, NESTED;
        serialize_seq(Option<usize>): SerializeSeq, serialize_tuple(usize): SerializeTuple,
        serialize_tuple_struct(&'static str, usize): SerializeTupleStruct,
        serialize_tuple_variant(&'static str, u32, &'static str, usize): SerializeTupleVariant,
        serialize_map(Option<usize>): SerializeMap, serialize_struct(&'static str, usize): SerializeStruct,
        serialize_struct_variant(&'static str, u32, &'static str, usize): SerializeStructVariant,
    }

    fn serialize_bool(self, value: bool) -> Result<Value, Misfit> {
        Ok(Value::Int(value.into()))
    }

    fn serialize_i8(self, value: i8) -> Result<Value, Misfit> {
        Ok(Value::Int(value.into()))
    }

    fn serialize_i16(self, value: i16) -> Result<Value, Misfit> {
        Ok(Value::Int(value.into()))
    }

    fn serialize_i32(self, value: i32) -> Result<Value, Misfit> {
        Ok(Value::Int(value.into()))
    }

    fn serialize_i64(self, value: i64) -> Result<Value, Misfit> {
        Ok(Value::Int(value))
    }

    fn serialize_i128(self, value: i128) -> Result<Value, Misfit> {
        whole(value)
    }

    fn serialize_u8(self, value: u8) -> Result<Value, Misfit> {
        Ok(Value::Int(value.into()))
    }

    fn serialize_u16(self, value: u16) -> Result<Value, Misfit> {
        Ok(Value::Int(value.into()))
    }

    fn serialize_u32(self, value: u32) -> Result<Value, Misfit> {
        Ok(Value::Int(value.into()))
    }

    fn serialize_u64(self, value: u64) -> Result<Value, Misfit> {
        whole(value)
    }

    fn serialize_u128(self, value: u128) -> Result<Value, Misfit> {
        whole(value)
    }

    fn serialize_char(self, value: char) -> Result<Value, Misfit> {
        Ok(Value::Text(value.to_string()))
    }

    fn serialize_str(self, value: &str) -> Result<Value, Misfit> {
        Ok(Value::Text(value.to_owned()))
    }

    fn serialize_none(self) -> Result<Value, Misfit> {
        Ok(Value::None)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, Misfit> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Value, Misfit> {
        Ok(Value::None)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Value, Misfit> {
        Ok(Value::None)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, name: &'static str) -> Result<Value, Misfit> {
        Ok(Value::Text(name.to_owned()))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Value, Misfit> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Value, Misfit> {
        Err(Misfit::custom(NESTED))
    }
}

fn whole(value: impl TryInto<i64>) -> Result<Value, Misfit> {
    value.try_into().map(Value::Int).map_err(|_| Misfit::custom(TOO_LARGE))
}
