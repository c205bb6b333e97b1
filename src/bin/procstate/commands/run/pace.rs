//! Limits the rate at which commands are started.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::process::{Resource, getrlimit};

/// The polling interval for the next start.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// The number of files that this program opens besides those of running commands.
const OWN_FILES: u64 = 64;

/// Returns how many commands can run at once under the system's limit of open files.
pub(super) fn jobs_max(files_per_job: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile).current;
    limit.map_or(u64::MAX, |limit| limit.saturating_sub(OWN_FILES) / files_per_job).max(1)
}

pub(super) struct Pace {
    delay: Duration,
    max_load: Option<f64>,
    /// When the next command may start.
    next: Mutex<Instant>,
}

impl Pace {
    pub(super) fn new(delay: Option<Duration>, max_load: Option<f64>) -> Self {
        Self { delay: delay.unwrap_or_default(), max_load, next: Mutex::new(Instant::now()) }
    }

    /// Waits until a command may start; calls `should_stop` meanwhile.
    ///
    /// # Errors
    ///
    /// If `should_stop` returns true or fails.
    pub(super) fn wait(
        &self,
        should_stop: &mut dyn FnMut() -> procstate::Result<bool>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        loop {
            let wait = self.try_start();
            if wait.is_zero() {
                return Ok(());
            }
            if should_stop()? {
                return Err("stopped before it began".into());
            }
            std::thread::sleep(wait.min(LOOK_INTERVAL));
        }
    }

    /// Takes the next start if it is due; otherwise returns the remaining wait.
    fn try_start(&self) -> Duration {
        if self.delay.is_zero() && self.max_load.is_none() {
            return Duration::ZERO;
        }
        let mut next = self.next.lock();
        let now = Instant::now();
        if now < *next {
            return *next - now;
        }
        if self.max_load.is_some_and(|max| load().is_some_and(|load| load > max)) {
            return LOOK_INTERVAL;
        }
        *next = now.checked_add(self.delay).unwrap_or(now);
        Duration::ZERO
    }
}

/// Returns the load average of the last minute, if the system provides it.
fn load() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_start_one_after_the_other() {
        let pace = Pace::new(Some(Duration::from_secs(3600)), None);
        assert!(pace.try_start().is_zero());
        assert!(pace.try_start() > Duration::from_secs(3000));
        assert!(pace.wait(&mut || Ok(true)).is_err());
        let free = Pace::new(None, None);
        assert!((0..100).all(|_| free.try_start().is_zero()));
    }

    #[test]
    fn none_starts_while_the_load_is_above_the_limit() {
        let load = load().unwrap();
        assert!(Pace::new(None, Some(load + 1000.0)).try_start().is_zero());
        assert!(!Pace::new(None, Some(-1.0)).try_start().is_zero());
    }
}
