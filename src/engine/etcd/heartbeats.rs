//! Heartbeats of owners in other programs: how long the status of their process, which each of their
//! writes changes, has been unchanged. Only the clock of this program measures it.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::record::Key;

#[derive(Debug, Default)]
pub(super) struct Heartbeats {
    /// By the key of the status; contains only processes that this program waits for.
    last: Mutex<FxHashMap<Key, Heartbeat>>,
}

#[derive(Debug)]
struct Heartbeat {
    /// The version of the status.
    version: u64,
    /// When it was read, or received from the watch.
    seen: Instant,
}

impl Heartbeats {
    /// Returns the minimum time since the owner's last write, given the status version that was just
    /// read.
    pub(super) fn silence(&self, process: &str, version: u64) -> Duration {
        let mut last = self.last.lock();
        let now = Instant::now();
        let heartbeat = last.entry(Key::status(process)).or_insert(Heartbeat { version, seen: now });
        if heartbeat.version < version {
            *heartbeat = Heartbeat { version, seen: now };
        }
        // An outdated version says nothing about the time since the last write.
        if heartbeat.version == version {
            now.saturating_duration_since(heartbeat.seen)
        } else {
            Duration::ZERO
        }
    }

    /// Records a commit received from the watch.
    pub(super) fn record(&self, key: &Key, version: u64) {
        if let Some(heartbeat) = self.last.lock().get_mut(key)
            && heartbeat.version < version
        {
            *heartbeat = Heartbeat { version, seen: Instant::now() };
        }
    }

    /// Forgets a process once no call waits for its owner.
    pub(super) fn forget(&self, process: &str) {
        self.last.lock().remove(&Key::status(process));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_starts_with_the_last_version_seen() {
        let heartbeats = Heartbeats::default();
        let at_least = |version, least: Duration| heartbeats.silence("p", version) >= least;
        let moment = Duration::from_millis(20);
        assert!(!at_least(1, moment));
        std::thread::sleep(moment);
        assert!(at_least(1, moment));
        // Processes without a waiting call are not recorded.
        heartbeats.record(&Key::status("q"), 2);
        assert!(at_least(1, moment));
        heartbeats.record(&Key::status("p"), 2);
        // Version 1 was read before that commit.
        assert_eq!(heartbeats.silence("p", 1), Duration::ZERO);
        std::thread::sleep(moment);
        assert!(at_least(2, moment));
        assert_eq!(heartbeats.silence("p", 3), Duration::ZERO);
        std::thread::sleep(moment);
        heartbeats.forget("p");
        assert!(!at_least(3, moment));
    }
}
