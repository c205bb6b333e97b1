//! The changes of an interval as one event.

use axum::body::Bytes;
use serde_json::{Value, json};

use crate::{Change, ChangeSet, Changed};

/// The maximum number of records in an event. After more changes, clients must read again.
pub(super) const CHANGES_MAX: usize = 2000;

/// The changes since the previous event.
#[derive(Debug)]
pub(super) struct Block {
    /// The last commit that it includes.
    pub(super) seq: u64,
    /// `None` if there are too many.
    changes: Option<Vec<Change>>,
    /// The event with all changes.
    text: Bytes,
}

impl Block {
    /// Returns the block for the changes after the commit `since`; `None` if there are none.
    pub(super) fn new(set: ChangeSet, since: u64) -> Option<Self> {
        let ChangeSet { seq, changes, is_incomplete } = set;
        let seq = seq.max(since);
        if is_incomplete {
            return Some(Self { seq, changes: None, text: missed(seq) });
        }
        let text = changed(seq, changes.iter());
        (!changes.is_empty()).then_some(Self { seq, changes: Some(changes), text })
    }

    /// Returns its approximate size in bytes.
    pub(super) fn size(&self) -> usize {
        // The text, and the names once more.
        2 * self.text.len() + 256
    }

    /// Returns the event for a client that follows processes with this prefix.
    pub(super) fn event(&self, prefix: &str) -> Option<Bytes> {
        let Some(changes) = self.changes.as_ref().filter(|_| !prefix.is_empty()) else {
            return Some(self.text.clone());
        };
        let mut theirs = changes.iter().filter(|change| change.process.starts_with(prefix)).peekable();
        theirs.peek()?;
        Some(changed(self.seq, theirs))
    }
}

/// The first event of a connection, which is up to date at `seq`.
pub(super) fn ready(seq: u64) -> Bytes {
    Bytes::from(format!("retry: 2000\n{}", event("ready", seq, &json!({ "seq": seq }))))
}

/// The event for a client that must read again.
pub(super) fn missed(seq: u64) -> Bytes {
    Bytes::from(event("missed", seq, &json!({ "seq": seq })))
}

fn changed<'a>(seq: u64, changes: impl Iterator<Item = &'a Change>) -> Bytes {
    let changes: Vec<Value> = changes.map(to_value).collect();
    Bytes::from(event("changes", seq, &json!({ "seq": seq, "changes": changes })))
}

/// Formats an event. JSON has no raw line breaks, so it is one line of data.
fn event(name: &str, seq: u64, data: &Value) -> String {
    format!("id: {seq}\nevent: {name}\ndata: {data}\n\n")
}

fn to_value(change: &Change) -> Value {
    let Change { process, what, removed } = change;
    let kind = match what {
        Changed::Owner => "owner",
        Changed::Settings => "settings",
        Changed::Status => "status",
        Changed::Totals => "totals",
        Changed::History => "history",
        Changed::Work { list, name } => {
            let list = list.to_string();
            return json!({ "process": process, "what": "work", "list": list, "work": name, "removed": removed });
        }
    };
    json!({ "process": process, "what": kind, "removed": removed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::List;

    fn text(block: &Block, prefix: &str) -> Option<String> {
        block.event(prefix).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn clients_receive_changes_of_their_prefix() {
        let what = Changed::Work { list: List::Active, name: "w".to_owned() };
        let changes = vec![Change { process: "p\n".to_owned(), what, removed: false }];
        let block = Block::new(ChangeSet { seq: 5, changes, is_incomplete: false }, 0).unwrap();
        let expected = "id: 5\nevent: changes\ndata: {\"changes\":[{\"list\":\"active\",\"process\":\"p\\n\",\"removed\":false,\"what\":\"work\",\"work\":\"w\"}],\"seq\":5}\n\n";
        assert_eq!(text(&block, "").as_deref(), Some(expected));
        assert_eq!(text(&block, "p").as_deref(), Some(expected));
        assert_eq!(text(&block, "q"), None);
    }

    #[test]
    fn too_many_changes_make_clients_read_again() {
        let set = |is_incomplete| ChangeSet { seq: 7, changes: Vec::new(), is_incomplete };
        let missed = "id: 7\nevent: missed\ndata: {\"seq\":7}\n\n";
        assert_eq!(text(&Block::new(set(true), 0).unwrap(), "q").unwrap(), missed);
        assert_eq!(text(&Block::new(set(true), 9).unwrap(), "").unwrap(), missed.replace('7', "9"));
        assert!(Block::new(set(false), 0).is_none());
    }
}
