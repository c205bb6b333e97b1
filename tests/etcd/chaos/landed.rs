//! Every write that landed, from etcd's own history since the first revision.

use serde_json::json;

use crate::etcd::Member;
use crate::gateway::{call, decode, encode, number, responses};

/// One put. These tests ignore deletes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// The sequence number of the commit.
    pub revision: u64,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
}

/// The kind of a record: the last byte of its key, or the last one before the item name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Owner = 0x10,
    Status = 0x30,
    Totals = 0x40,
    Active = 0x50,
}

impl Put {
    /// Reports whether this is a record of this process, and of this work item unless that is empty.
    pub fn is(&self, kind: Kind, process: &str, item: &str) -> bool {
        let end = [&[0x01], process.as_bytes(), &[0x00, kind as u8], item.as_bytes()].concat();
        self.key.ends_with(&end)
    }

    /// Returns a number from a map of statistics anywhere in the value.
    pub fn stat(&self, label: &str) -> Option<u64> {
        let entry = [&[0x0a, label.len() as u8], label.as_bytes(), &[0x11]].concat();
        let at = self.value.windows(entry.len()).position(|window| window == entry)? + entry.len();
        let number = self.value.get(at..at + 8)?.try_into().ok()?;
        Some(f64::from_le_bytes(number) as u64)
    }

    /// Returns an integer parameter.
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

/// Reads the puts of the store under a prefix, with its sequence numbers as revisions.
pub fn read(member: &Member, prefix: &str) -> Vec<Put> {
    const MARK: &[u8] = b"the end of the history";
    call(member, "/v3/kv/put", &json!({ "key": encode(MARK) }));
    let all = encode([0]);
    let watch = json!({ "create_request": { "key": all, "range_end": all, "start_revision": "1", "fragment": true } });
    let store = [prefix.as_bytes(), b"\0store"].concat();
    let (mut puts, mut begin) = (Vec::new(), None);
    for response in responses(member, "/v3/watch", &watch) {
        let result = &response["result"];
        assert!(
            response["error"].is_null() && result["canceled"] != true,
            "the history is incomplete: {response}"
        );
        let events = result["events"].as_array().into_iter().flatten();
        for event in events.filter(|event| event["type"].is_null()) {
            let (key, revision) = (decode(&event["kv"]["key"]), number(&event["kv"]["mod_revision"]));
            if key == MARK {
                return puts;
            }
            if key == store {
                begin = Some(revision);
            } else if let Some(begin) = begin.filter(|_| key.starts_with(prefix.as_bytes())) {
                puts.push(Put { revision: revision - begin, key, value: decode(&event["kv"]["value"]) });
            }
        }
    }
    panic!("the history ended before its mark");
}
