//! What changed within a moment, as one event.

use std::collections::HashMap;

use axum::body::Bytes;
use serde_json::{Value, json};

use crate::{Change, Changed, Event};

/// The most records that one event names. Where more have changed, a client reads again.
const CHANGES_MAX: usize = 2000;

/// What is being gathered.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// Whether each record was removed, by which it is.
    changes: HashMap<(String, Changed), bool>,
    seq: u64,
    is_missed: bool,
}

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

impl Gathered {
    pub(super) fn add(&mut self, event: Event) {
        match event {
            Event::Committed { seq, changes } => {
                self.seq = self.seq.max(seq);
                for Change { process, what, removed } in changes {
                    self.changes.insert((process, what), removed);
                }
                self.is_missed |= self.changes.len() > CHANGES_MAX;
            }
            Event::Missed(_) => self.is_missed = true,
        }
        if self.is_missed {
            self.changes.clear();
        }
    }

    /// Adds an event, unless it is of a commit up to `since`.
    pub(super) fn add_after(&mut self, since: u64, event: Event) {
        if !matches!(event, Event::Committed { seq, .. } if seq <= since) {
            self.add(event);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty() && !self.is_missed
    }

    /// The block of what was gathered, none of it from before the commit `since`.
    pub(super) fn take(&mut self, since: u64) -> Block {
        let gathered = std::mem::take(self);
        let seq = gathered.seq.max(since);
        if gathered.is_missed {
            return Block { seq, changes: None, text: missed(seq) };
        }
        let change = |((process, what), removed)| Change { process, what, removed };
        let changes: Vec<Change> = gathered.changes.into_iter().map(change).collect();
        let text = changed(seq, changes.iter());
        Block { seq, changes: Some(changes), text }
    }
}

impl Block {
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

    fn committed(seq: u64, process: &str, name: &str, removed: bool) -> Event {
        let what = Changed::Work { list: List::Active, name: name.to_owned() };
        Event::Committed { seq, changes: vec![Change { process: process.to_owned(), what, removed }] }
    }

    fn text(block: &Block, prefix: &str) -> Option<String> {
        block.event(prefix).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn each_record_comes_once_as_it_is_at_last() {
        let mut gathered = Gathered::default();
        assert!(gathered.is_empty());
        gathered.add(committed(3, "p\n", "w", true));
        gathered.add(committed(5, "p\n", "w", false));
        let block = gathered.take(0);
        assert!(gathered.is_empty());
        let expected = "id: 5\nevent: changes\ndata: {\"changes\":[{\"list\":\"active\",\"process\":\"p\\n\",\"removed\":false,\"what\":\"work\",\"work\":\"w\"}],\"seq\":5}\n\n";
        assert_eq!(text(&block, "").as_deref(), Some(expected));
        assert_eq!(text(&block, "p").as_deref(), Some(expected));
        assert_eq!(text(&block, "q"), None);
    }

    #[test]
    fn who_cannot_be_told_all_reads_again() {
        let mut gathered = Gathered::default();
        for seq in 1..=CHANGES_MAX as u64 + 1 {
            gathered.add(committed(seq, "p", &seq.to_string(), false));
        }
        let expected = "id: 2001\nevent: missed\ndata: {\"seq\":2001}\n\n";
        assert_eq!(text(&gathered.take(0), "q").as_deref(), Some(expected));
        gathered.add(Event::Missed(7));
        gathered.add(committed(1, "p", "w", false));
        assert_eq!(text(&gathered.take(9), "").unwrap(), expected.replace("2001", "9"));
    }
}
