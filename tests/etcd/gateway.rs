//! etcd's API in JSON: what the tests do to it past the store.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::etcd::Member;

/// Bytes, as they stand in a request.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

/// Bytes, as they stand in an answer; what is not there has none.
pub fn decode(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap_or_default()).unwrap()
}

/// A number, which stands in quotes.
pub fn number(value: &Value) -> u64 {
    value.as_str().unwrap_or_default().parse().unwrap_or_default()
}

/// Asks a member that speaks plain HTTP; its answer must not be an error.
pub fn ask(member: &Member, path: &str, request: &Value) -> Value {
    let answer = answers(member, path, request).next().unwrap_or_else(|| panic!("{path}: no answer"));
    assert!(answer["error"].is_null(), "{path}: {answer}");
    answer
}

/// The objects that a member answers with, one after the other.
pub fn answers(member: &Member, path: &str, request: &Value) -> impl Iterator<Item = Value> + use<> {
    let address = member.client_url();
    let mut stream = TcpStream::connect(address.trim_start_matches("http://")).unwrap();
    let body = request.to_string();
    let length = body.len();
    write!(stream, "POST {path} HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
    let lines = BufReader::new(stream).lines().map(|line| line.unwrap());
    lines.filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(&line).unwrap())
}

/// Forgets the history up to the revision that is the newest now.
pub fn compact(member: &Member) {
    let now = ask(member, "/v3/kv/range", &serde_json::json!({ "key": encode("any") }));
    let revision = &now["header"]["revision"];
    ask(member, "/v3/kv/compaction", &serde_json::json!({ "revision": revision, "physical": true }));
}
