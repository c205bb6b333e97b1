//! Canonical protobuf JSON.

use prost_reflect::{DeserializeOptions, SerializeOptions};
use serde::de::DeserializeSeed;
use serde_json::de::{Deserializer, SliceRead};
use serde_path_to_error::Track;

use super::refusal::{Unknown, invalid};
use super::schema::{self, Message, descriptor};
use super::sequence::OneOrMany;
use super::strict::Strict;
use super::{negative_zero, times};
use crate::error::{Error, Failure, Result};
use crate::proto::Process;

/// Returns a message as canonical JSON on one line.
///
/// Equal messages give equal text: the members of every object are sorted by name.
///
/// # Errors
///
/// [`is_invalid`](crate::Error::is_invalid) if JSON cannot represent it: a time before the year 1
/// or after 9999, nanoseconds out of range. Binary can.
pub fn to_json<M: Message>(message: &M) -> Result<String> {
    let reflected = schema::reflect(message)?;
    if let Some(path) = times::unsayable(&reflected) {
        let why = format!("in {path}: a time that JSON cannot represent");
        return Err(not_json::<M>(&why));
    }
    let mut track = Track::new();
    // A `Value` sorts the entries of hash maps.
    let serializer = serde_path_to_error::Serializer::new(serde_json::value::Serializer, &mut track);
    let value = reflected
        .serialize_with_options(serializer, &SerializeOptions::new())
        .map_err(|error| not_json::<M>(&describe(&error, &track.path().to_string())))?;
    Ok(value.to_string())
}

fn not_json<M: Message>(why: &str) -> Error {
    Failure::Argument(format!("{} cannot be written as JSON, {why}; write it as binary", M::NAME)).into()
}

/// Reports whether `text` consists only of JSON values.
pub(super) fn is_json(text: &[u8]) -> bool {
    Deserializer::from_slice(text).into_iter::<serde::de::IgnoredAny>().all(|value| value.is_ok())
}

/// Reads the processes in a sequence of JSON values or arrays.
pub(super) fn read(source: &str, text: &[u8], unknown: Unknown) -> Result<Vec<Process>> {
    if is_json(text) {
        refuse_lossy_values(source, text)?;
    }
    let mut deserializer = Deserializer::from_slice(text);
    let mut processes = Vec::new();
    while deserializer.end().is_err() {
        processes.extend(read_value(source, &mut deserializer, unknown)?);
    }
    Ok(processes)
}

fn refuse_lossy_values(source: &str, text: &[u8]) -> Result<()> {
    let strict = Strict::of(descriptor::<Process>()?);
    let mut deserializer = Deserializer::from_slice(text);
    while deserializer.end().is_err() {
        let mut track = Track::new();
        let tracked = serde_path_to_error::Deserializer::new(&mut deserializer, &mut track);
        strict.clone().deserialize(tracked).map_err(|error| {
            invalid(source, position(&error), describe(&error, &track.path().to_string()))
        })?;
    }
    Ok(())
}

fn position(error: &serde_json::Error) -> String {
    format!(", line {}, column {}", error.line(), error.column())
}

fn read_value(
    source: &str,
    deserializer: &mut Deserializer<SliceRead<'_>>,
    unknown: Unknown,
) -> Result<Vec<Process>> {
    let options = DeserializeOptions::new().deny_unknown_fields(unknown == Unknown::Reject);
    let mut track = Track::new();
    let tracked = serde_path_to_error::Deserializer::new(deserializer, &mut track);
    let read = OneOrMany { message: descriptor::<Process>()?, options: &options }.deserialize(tracked);
    let messages =
        read.map_err(|error| invalid(source, position(&error), describe(&error, &track.path().to_string())))?;
    let processes = messages.iter().map(|message| {
        let mut process = message.transcode_to()?;
        negative_zero::restore(message, &mut process);
        Ok(process)
    });
    processes
        .collect::<Result<_, _>>()
        .map_err(|error: prost::DecodeError| invalid(source, String::new(), error.to_string()))
}

fn describe(error: &serde_json::Error, path: &str) -> String {
    let text = error.to_string();
    // The position is already in front.
    let text = text.split(" at line ").next().unwrap_or(&text);
    let what = if error.is_eof() { format!("the text ends prematurely ({text})") } else { text.to_owned() };
    // A field that was not read yet has no name.
    match path.trim_end_matches(".?") {
        "." | "" | "?" => what,
        path => format!("in {path}: {what}"),
    }
}
