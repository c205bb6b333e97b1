//! Protobuf binary: one bare message, or a stream of length-delimited ones.

use bytes::Buf;
use prost::Message as _;
use prost_reflect::{DynamicMessage, ReflectMessage, Value};

use super::refusal::{Unknown, invalid};
use super::schema;
use crate::error::{Error, Result};
use crate::proto::{Encode, Process};

/// Appends a process, preceded by its length as a varint.
///
/// ```
/// use procstate::interchange::{Unknown, read_processes, to_binary, write_delimited};
/// use procstate::{Params, Store};
///
/// let keys = Store::in_memory().process("gckeys")?;
/// keys.register("project-1", Params::new().int("keysPerAccount", 8))?;
/// let process = keys.export()?;
///
/// let mut stream = Vec::new();
/// write_delimited(&process, &mut stream);
/// assert_eq!(read_processes("stream", &stream, Unknown::Reject)?, [process.clone()]);
/// assert_eq!(read_processes("one", &to_binary(&process), Unknown::Reject)?, [process]);
/// # Ok::<(), procstate::Error>(())
/// ```
pub fn write_delimited(process: &Process, output: &mut Vec<u8>) {
    let message = process.encode_exactly();
    prost::encoding::encode_varint(message.len() as u64, output);
    output.extend_from_slice(&message);
}

/// The bytes of one message, with its position in the input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    bytes: &'a [u8],
    offset: usize,
    /// Its number in the input, from 1.
    number: usize,
}

impl<'a> Message<'a> {
    pub(super) fn whole(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0, number: 1 }
    }
}

/// Splits an input that consists only of length-delimited messages, each a process with a name.
pub(super) fn split_delimited(input: &[u8]) -> Option<Vec<Message<'_>>> {
    let (messages, rest) = split(input);
    let is_process = |message: &Message<'_>| {
        Process::decode(message.bytes).is_ok_and(|process| !process.process_name.is_empty())
    };
    let is_stream = rest == input.len() && !messages.is_empty() && messages.iter().all(is_process);
    is_stream.then_some(messages)
}

/// Returns all complete messages at the start of the input, and the offset at which they end.
fn split(input: &[u8]) -> (Vec<Message<'_>>, usize) {
    let mut messages = Vec::new();
    let mut end = 0;
    while let Some(rest) = input.get(end..).filter(|rest| !rest.is_empty()) {
        let mut reader = rest;
        let Ok(length) = prost::decode_length_delimiter(&mut reader) else { break };
        let Some(bytes) = reader.get(..length) else { break };
        let offset = input.len() - reader.remaining();
        messages.push(Message { bytes, offset, number: messages.len() + 1 });
        end = offset + length;
    }
    (messages, end)
}

/// Returns the error in an input that starts as a stream of length-delimited messages; `None` if it
/// does not.
pub(super) fn broken_stream(source: &str, input: &[u8]) -> Option<Error> {
    let (messages, end) = split(input);
    let first = messages.first()?;
    Process::decode(first.bytes).ok().filter(|process| !process.process_name.is_empty())?;
    if let Some(error) = messages.iter().find_map(|message| read(source, *message, Unknown::Ignore).err()) {
        return Some(error);
    }
    let position = format!(", message {}, byte {end}", messages.len() + 1);
    Some(invalid(source, position, "the message is truncated: the input ends before it does".to_owned()))
}

/// Decodes one process.
pub(super) fn read(source: &str, message: Message<'_>, unknown: Unknown) -> Result<Process> {
    let position = |at: usize| format!(", message {}, byte {}", message.number, message.offset + at);
    let mut process = Process::default();
    let mut rest = message.bytes;
    if let Err(error) = process.merge(&mut rest) {
        let at = message.bytes.len() - rest.len();
        return Err(invalid(source, position(at), describe(&error)));
    }
    if unknown == Unknown::Reject {
        let reflected = DynamicMessage::decode(schema::descriptor::<Process>()?, message.bytes)
            .map_err(|error| invalid(source, position(0), error.to_string()))?;
        if let Some(field) = unknown_field(&reflected) {
            let why = format!("unknown field {field}; to skip unknown fields, ask for them to be ignored");
            return Err(invalid(source, position(0), why));
        }
    }
    Ok(process)
}

fn describe(error: &prost::DecodeError) -> String {
    let text = error.to_string();
    let text = text.trim_start_matches("failed to decode Protobuf message: ");
    match text.strip_suffix("buffer underflow") {
        Some(field) => format!("{field}the message is truncated: the input ends before it does"),
        None => format!("this is neither JSON nor a Process message: {text}"),
    }
}

/// Returns the path of a field that the schema does not know.
fn unknown_field(message: &DynamicMessage) -> Option<String> {
    if let Some(field) = message.unknown_fields().next() {
        return Some(format!("number {} of {}", field.number(), message.descriptor().full_name()));
    }
    message
        .fields()
        .find_map(|(field, value)| unknown_in(value).map(|path| format!("{path}, in {}", field.json_name())))
}

fn unknown_in(value: &Value) -> Option<String> {
    match value {
        Value::Message(message) => unknown_field(message),
        Value::List(values) => values.iter().find_map(unknown_in),
        Value::Map(values) => values.iter().find_map(|(key, value)| {
            let key = key.as_str().unwrap_or_default();
            Some(format!("{}, in {key:?}", unknown_in(value)?))
        }),
        _ => None,
    }
}
