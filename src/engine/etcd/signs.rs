//! Heartbeats of owners in other programs: since when the status of their process, which each of
//! their writes changes, is unchanged. Measured on the clock of this program alone.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::record::Key;

#[derive(Debug, Default)]
pub(super) struct Signs {
    /// By the key of the status; only of processes that this program waits for.
    last: Mutex<FxHashMap<Key, Sign>>,
}

#[derive(Debug)]
struct Sign {
    /// The version of the status.
    version: u64,
    /// When it was read, or received from the watch.
    seen: Instant,
}

impl Signs {
    /// Returns for how long at least the owner has not written, if its process still has the status
    /// version that was just read.
    pub(super) fn silence(&self, process: &str, version: u64) -> Duration {
        let mut last = self.last.lock();
        let now = Instant::now();
        let sign = last.entry(Key::status(process)).or_insert(Sign { version, seen: now });
        if sign.version < version {
            *sign = Sign { version, seen: now };
        }
        // A version that is no longer the newest says nothing.
        if sign.version == version { now.saturating_duration_since(sign.seen) } else { Duration::ZERO }
    }

    /// Records a commit received from the watch.
    pub(super) fn hear(&self, key: &Key, version: u64) {
        if let Some(sign) = self.last.lock().get_mut(key)
            && sign.version < version
        {
            *sign = Sign { version, seen: Instant::now() };
        }
    }

    /// Forgets a process whose owner nobody waits for.
    pub(super) fn forget(&self, process: &str) {
        self.last.lock().remove(&Key::status(process));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_starts_with_the_last_version_seen() {
        let signs = Signs::default();
        let at_least = |version, least: Duration| signs.silence("p", version) >= least;
        let moment = Duration::from_millis(20);
        assert!(!at_least(1, moment));
        std::thread::sleep(moment);
        assert!(at_least(1, moment));
        // A process that nobody waits for is not recorded.
        signs.hear(&Key::status("q"), 2);
        assert!(at_least(1, moment));
        signs.hear(&Key::status("p"), 2);
        // This version was read before that commit.
        assert_eq!(signs.silence("p", 1), Duration::ZERO);
        std::thread::sleep(moment);
        assert!(at_least(2, moment));
        assert_eq!(signs.silence("p", 3), Duration::ZERO);
        std::thread::sleep(moment);
        signs.forget("p");
        assert!(!at_least(3, moment));
    }
}
