//! What stands outside of index and log, and says what they must have: the rules by
//! which a store opens. Opening goes by them, and so does whoever only looks.

use super::snapshots::Snapshot;
use super::wal::Scan;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Witness {
    /// The commit that index and log durably had when the manifest noted it; `None`
    /// before the store was completed.
    noted: Option<u64>,
    /// That of the newest snapshot, if there is one.
    snapshot: Option<u64>,
}

impl Witness {
    pub(crate) fn new(noted: Option<u64>, newest: Option<&Snapshot>) -> Self {
        Self { noted, snapshot: newest.map(|snapshot| snapshot.seq) }
    }

    /// Whether there was an index. Where there was none, one is created.
    pub(crate) fn wants_index(&self) -> bool {
        self.noted.max(self.snapshot).is_some()
    }

    /// Why an index that has everything up to the commit `seq` cannot be used.
    pub(crate) fn why_not_index(&self, seq: u64) -> Option<String> {
        let needed = self.noted.max(self.snapshot).filter(|needed| seq < *needed)?;
        Some(format!("it ends at commit {seq} and held commit {needed} before: it was rolled back"))
    }

    /// Why a log, as it was `found` behind the newest snapshot, does not lead to all that
    /// the store held, the `index` too if that can be used.
    pub(crate) fn why_not_log(&self, found: Option<&Scan>, index: Option<u64>) -> Option<String> {
        let Some(found) = found else { return Some("all of it is gone, or was never there".to_owned()) };
        let needed = self.noted.max(index).filter(|needed| found.last_seq < *needed)?;
        Some(format!("it ends with commit {}, and the store held commit {needed}", found.last_seq))
    }
}
