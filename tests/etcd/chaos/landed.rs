//! Every write that landed, as etcd itself has it: its history from the first revision on.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

/// One put. Deletes are none of these tests' business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// The revision of the transaction.
    pub revision: u64,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
}

/// What a record is, as the last byte of its key or the one before its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Owner = 0x10,
    Status = 0x30,
    Totals = 0x40,
    Active = 0x50,
}

impl Put {
    /// Whether it is a record of this process, and of this work item if that has one.
    pub fn is(&self, kind: Kind, process: &str, item: &str) -> bool {
        let end = [&[0x01], process.as_bytes(), &[0x00, kind as u8], item.as_bytes()].concat();
        self.key.ends_with(&end)
    }

    /// A number in a map of statistics, wherever in the value that is.
    pub fn stat(&self, label: &str) -> Option<u64> {
        let entry = [&[0x0a, label.len() as u8], label.as_bytes(), &[0x11]].concat();
        let at = self.value.windows(entry.len()).position(|window| window == entry)? + entry.len();
        let number = self.value.get(at..at + 8)?.try_into().ok()?;
        Some(f64::from_le_bytes(number) as u64)
    }

    /// A whole number among the parameters.
    pub fn int(&self, name: &str) -> Option<u64> {
        let entry = [&[0x0a, name.len() as u8], name.as_bytes(), &[0x10]].concat();
        let at = self.value.windows(entry.len()).position(|window| window == entry)? + entry.len();
        let mut number = 0;
        for (n, byte) in self.value.get(at..)?.iter().enumerate() {
            number |= u64::from(byte & 0x7f) << (7 * n);
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    pub fn mentions(&self, text: &str) -> bool {
        self.value.windows(text.len()).any(|window| window == text.as_bytes())
    }
}

/// Reads it from a member, which is to be given as `host:port` without TLS.
pub fn read(member: &str) -> Vec<Put> {
    const MARK: &[u8] = b"the end of the history";
    let all = BASE64.encode([0]);
    let put = json!({"key": BASE64.encode(MARK)});
    answers(member, "/v3/kv/put", &put).next().expect("the mark is written");
    let watch =
        json!({"create_request": {"key": all, "range_end": all, "start_revision": "1", "fragment": true}});
    let mut puts = Vec::new();
    for answer in answers(member, "/v3/watch", &watch) {
        let result = &answer["result"];
        assert!(answer["error"].is_null() && result["canceled"] != true, "the history is cut off: {answer}");
        for event in result["events"].as_array().into_iter().flatten().filter(|event| event["type"].is_null())
        {
            let bytes = |name: &str| BASE64.decode(event["kv"][name].as_str().unwrap_or_default()).unwrap();
            let revision = event["kv"]["mod_revision"].as_str().unwrap().parse().unwrap();
            let put = Put { revision, key: bytes("key"), value: bytes("value") };
            if put.key == MARK {
                return puts;
            }
            puts.push(put);
        }
    }
    panic!("the history ended before its mark");
}

/// What the JSON gateway answers, one object a line.
fn answers(member: &str, path: &str, request: &Value) -> impl Iterator<Item = Value> {
    let body = request.to_string();
    let mut stream = TcpStream::connect(member).unwrap();
    let length = body.len();
    write!(stream, "POST {path} HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
    let lines = BufReader::new(stream).lines().map(|line| line.unwrap());
    lines.filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(&line).unwrap())
}
