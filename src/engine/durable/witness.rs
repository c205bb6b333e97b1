//! What stands outside of index and log, and says what they must have: the rules by
//! which a store opens. Opening goes by them, and so does whoever only looks.

use super::snapshots::Snapshot;
use super::wal::{Epochs, Scan};
use crate::record::Position;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Witness {
    /// The commit that index and log durably had when the manifest noted it; `None`
    /// before the store was completed.
    noted: Option<Position>,
    /// The commit up to which the log was synced, as noted beside it.
    synced: Option<Position>,
    /// That of the newest snapshot, if there is one.
    snapshot: Option<u64>,
}

impl Witness {
    pub(crate) fn new(noted: Option<Position>, synced: Option<Position>, newest: Option<&Snapshot>) -> Self {
        Self { noted, synced, snapshot: newest.map(|snapshot| snapshot.seq) }
    }

    /// Whether there was an index. Where there was none, one is created.
    pub(crate) fn wants_index(&self) -> bool {
        self.noted_seq().max(self.snapshot).is_some()
    }

    fn noted_seq(&self) -> Option<u64> {
        self.noted.map(|noted| noted.seq)
    }

    /// Why an index that has everything up to the commit `index` cannot be used, where the
    /// log says by whom its commits are.
    pub(crate) fn why_not_index(&self, index: Position, log: &Epochs) -> Option<String> {
        let seq = index.seq;
        if let Some(needed) = self.noted_seq().max(self.snapshot).filter(|needed| seq < *needed) {
            return Some(format!(
                "it ends at commit {seq} and held commit {needed} before: it was rolled back"
            ));
        }
        let noted = self.noted.filter(|noted| noted.seq == seq).and_then(|noted| noted.epoch);
        let is_another = index.contradicts(log.of(seq)) || index.contradicts(noted);
        is_another.then(|| other_history(seq))
    }

    /// Why a log, as it was `found` behind the newest snapshot, does not lead to all that
    /// the store held, the `index` too if that can be used.
    pub(crate) fn why_not_log(&self, found: Option<&Scan>, index: Option<Position>) -> Option<String> {
        let Some(found) = found else { return Some("all of it is gone, or was never there".to_owned()) };
        self.why_other_log(found, index).or_else(|| self.why_short_log(found, index))
    }

    /// Why a log that was `found` is not that of this store: a copy of the store was written
    /// to.
    pub(crate) fn why_other_log(&self, found: &Scan, index: Option<Position>) -> Option<String> {
        let known = [self.noted, self.synced, index].into_iter().flatten();
        let other = known.into_iter().find(|known| known.contradicts(found.epochs.of(known.seq)))?;
        Some(other_history(other.seq))
    }

    /// Why a log that was `found` leads to less than the store held.
    pub(crate) fn why_short_log(&self, found: &Scan, index: Option<Position>) -> Option<String> {
        let known = [self.noted, self.synced, index].into_iter().flatten();
        let needed = known.map(|known| known.seq).max().filter(|needed| found.last_seq < *needed)?;
        let last = found.last_seq;
        let missing = match needed - last {
            1 => format!("commit {needed} is missing"),
            _ => format!("commits {} to {needed} are missing", last + 1),
        };
        Some(format!("it ends with commit {last}, and the store held commit {needed}: {missing}"))
    }
}

fn other_history(seq: u64) -> String {
    format!(
        "it is of another history of this store: its commit {seq} was written by another opening, in a copy of the store"
    )
}
