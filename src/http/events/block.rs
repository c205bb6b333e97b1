//! What changed within a moment, as one event.

use axum::body::Bytes;
use serde_json::{Value, json};

use crate::{Change, ChangeSet, Changed};

/// The most records that one event names. Where more have changed, a client reads again.
pub(super) const CHANGES_MAX: usize = 2000;

/// What changed between the event before and this one.
#[derive(Debug)]
pub(super) struct Block {
    /// The commit up to which it has everything.
    pub(super) seq: u64,
    /// `None`: too much to tell.
    changes: Option<Vec<Change>>,
    /// The event with all of its changes.
    text: Bytes,
}

impl Block {
    /// The block of what changed, none of it from before the commit `since`; `None` if
    /// nothing did.
    pub(super) fn new(set: ChangeSet, since: u64) -> Option<Self> {
        let ChangeSet { seq, changes, is_incomplete } = set;
        let seq = seq.max(since);
        if is_incomplete {
            return Some(Self { seq, changes: None, text: missed(seq) });
        }
        let text = changed(seq, changes.iter());
        (!changes.is_empty()).then_some(Self { seq, changes: Some(changes), text })
    }

    /// The bytes that it takes, roughly.
    pub(super) fn size(&self) -> usize {
        // Its text, and the same names once more.
        2 * self.text.len() + 256
    }

    /// The event for a client that listens to processes whose names begin with `prefix`.
    pub(super) fn event(&self, prefix: &str) -> Option<Bytes> {
        let Some(changes) = self.changes.as_ref().filter(|_| !prefix.is_empty()) else {
            return Some(self.text.clone());
        };
        let mut theirs = changes.iter().filter(|change| change.process.starts_with(prefix)).peekable();
        theirs.peek()?;
        Some(changed(self.seq, theirs))
    }
}

/// The event of a connection that begins, and has nothing to be told of before `seq`.
pub(super) fn ready(seq: u64) -> Bytes {
    Bytes::from(format!("retry: 2000\n{}", event("ready", seq, &json!({ "seq": seq }))))
}

/// The event for who is to read again.
pub(super) fn missed(seq: u64) -> Bytes {
    Bytes::from(event("missed", seq, &json!({ "seq": seq })))
}

fn changed<'a>(seq: u64, changes: impl Iterator<Item = &'a Change>) -> Bytes {
    let changes: Vec<Value> = changes.map(to_value).collect();
    Bytes::from(event("changes", seq, &json!({ "seq": seq, "changes": changes })))
}

/// JSON has no line breaks of its own, and so is one line of data.
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
    fn a_client_is_told_of_the_processes_it_listens_to() {
        let what = Changed::Work { list: List::Active, name: "w".to_owned() };
        let changes = vec![Change { process: "p\n".to_owned(), what, removed: false }];
        let block = Block::new(ChangeSet { seq: 5, changes, is_incomplete: false }, 0).unwrap();
        let expected = "id: 5\nevent: changes\ndata: {\"changes\":[{\"list\":\"active\",\"process\":\"p\\n\",\"removed\":false,\"what\":\"work\",\"work\":\"w\"}],\"seq\":5}\n\n";
        assert_eq!(text(&block, "").as_deref(), Some(expected));
        assert_eq!(text(&block, "p").as_deref(), Some(expected));
        assert_eq!(text(&block, "q"), None);
    }

    #[test]
    fn who_cannot_be_told_all_reads_again() {
        let set = |is_incomplete| ChangeSet { seq: 7, changes: Vec::new(), is_incomplete };
        let missed = "id: 7\nevent: missed\ndata: {\"seq\":7}\n\n";
        assert_eq!(text(&Block::new(set(true), 0).unwrap(), "q").unwrap(), missed);
        assert_eq!(text(&Block::new(set(true), 9).unwrap(), "").unwrap(), missed.replace('7', "9"));
        assert!(Block::new(set(false), 0).is_none());
    }
}
