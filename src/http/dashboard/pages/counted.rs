//! The counts of a process, cached according to its size.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prost_types::Timestamp as Wire;

use crate::http::exchange::problem::Answer;
use crate::proto::Status;
use crate::{Counts, ProcessHandle, Summary};

/// Counts that took less than this are not cached.
const QUICK: Duration = Duration::from_millis(20);

/// How long counts are reused, as a multiple of their duration: while no run began or ended and no
/// work was registered, and otherwise.
const REUSE: u32 = 20;
const REUSE_CHANGED: u32 = 3;

/// The maximum number of processes with cached counts.
const KEPT_MAX: usize = 1000;

/// The state shared by the pages.
#[derive(Debug)]
pub(in crate::http) struct Dashboard {
    pub(crate) is_read_only: bool,
    kept: Mutex<HashMap<String, Kept>>,
}

/// A process with its counts.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) summary: Summary,
    pub(crate) counts: Counts,
}

#[derive(Debug)]
struct Kept {
    counted: Arc<Counted>,
    since: Since,
    at: Instant,
    took: Duration,
}

/// What invalidates counts: the run, and the version of the settings.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Since {
    start: Option<Wire>,
    finish: Option<Wire>,
    settings: u64,
}

impl Since {
    pub(crate) fn new(status: Option<&Status>, settings: u64) -> Self {
        Self {
            start: status.and_then(|status| status.start_time),
            finish: status.and_then(|status| status.finish_time),
            settings,
        }
    }
}

impl Kept {
    fn is_good(&self, since: &Since, now: Instant) -> bool {
        let times = if self.since == *since { REUSE } else { REUSE_CHANGED };
        now.duration_since(self.at) < self.took * times
    }
}

impl Dashboard {
    pub(in crate::http) fn new(is_read_only: bool) -> Self {
        Self { is_read_only, kept: Mutex::default() }
    }

    /// Returns the process with new or cached counts.
    pub(crate) fn count(&self, process: &ProcessHandle, since: Since) -> Answer<Arc<Counted>> {
        let begun = Instant::now();
        if let Some(kept) = self.kept.lock().get(process.name()).filter(|kept| kept.is_good(&since, begun)) {
            return Ok(kept.counted.clone());
        }
        let counted = Arc::new(Counted { summary: process.summary()?, counts: process.counts()? });
        let took = begun.elapsed();
        let mut kept = self.kept.lock();
        kept.remove(process.name());
        if took >= QUICK {
            if kept.len() >= KEPT_MAX {
                kept.clear();
            }
            let at = Instant::now();
            kept.insert(process.name().to_owned(), Kept { counted: counted.clone(), since, at, took });
        }
        Ok(counted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Params, Store};

    #[test]
    fn counts_are_cached_until_invalidated() {
        let store = Store::in_memory();
        let process = store.process("p").unwrap();
        process.register("w", Params::new()).unwrap();
        let counted = Counted { summary: process.summary().unwrap(), counts: process.counts().unwrap() };
        let (since, at, took) = (Since::new(None, 1), Instant::now(), Duration::from_secs(1));
        let kept = Kept { counted: Arc::new(counted), since: since.clone(), at, took };
        let is_good = |since: &Since, seconds| kept.is_good(since, at + Duration::from_secs(seconds));
        assert!(is_good(&since, 19));
        assert!(!is_good(&since, 20));
        assert!(is_good(&Since::new(None, 2), 2));
        assert!(!is_good(&Since::new(None, 2), 3));
    }
}
