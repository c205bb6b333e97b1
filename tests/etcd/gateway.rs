//! Requests to etcd's JSON API, for what the tests cannot do through the store.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::etcd::Member;

/// Encodes bytes for a request.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

/// Decodes bytes from a response; an absent field has none.
pub fn decode(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap_or_default()).unwrap()
}

/// Decodes a number, which JSON has as a string.
pub fn number(value: &Value) -> u64 {
    value.as_str().unwrap_or_default().parse().unwrap_or_default()
}

/// Sends a request to a member that uses plain HTTP, and returns its only response. Panics if that
/// is an error.
pub fn call(member: &Member, path: &str, request: &Value) -> Value {
    let response = responses(member, path, request).next().unwrap_or_else(|| panic!("{path}: no response"));
    assert!(response["error"].is_null(), "{path}: {response}");
    response
}

/// Sends a request to a member, and returns the stream of its responses.
pub fn responses(member: &Member, path: &str, request: &Value) -> impl Iterator<Item = Value> + use<> {
    let address = member.client_url();
    let mut stream = TcpStream::connect(address.trim_start_matches("http://")).unwrap();
    let body = request.to_string();
    let length = body.len();
    write!(stream, "POST {path} HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
    let lines = BufReader::new(stream).lines().map(|line| line.unwrap());
    lines.filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(&line).unwrap())
}

/// Compacts the history up to the newest revision.
pub fn compact(member: &Member) {
    let now = call(member, "/v3/kv/range", &serde_json::json!({ "key": encode("any") }));
    let revision = &now["header"]["revision"];
    call(member, "/v3/kv/compaction", &serde_json::json!({ "revision": revision, "physical": true }));
}
