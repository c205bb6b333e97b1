//! Signals that stop the program.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use procstate::{Shutdown, Stopper};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::child::Urgency;
use crate::failure::Failure;
use crate::terminal::output::say_unless;

/// How long a signal waits for the message about it to be written.
const SAY_MAX: Duration = Duration::from_millis(500);

/// Counts the requests to stop by SIGINT, SIGTERM or SIGHUP: the first stops after the items in
/// progress, the second stops these too, the third kills them.
#[derive(Clone, Default)]
pub(super) struct Interrupts {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    count: AtomicU32,
    /// Stops the active run.
    stopper: Mutex<Option<Stopper>>,
    raised: Condvar,
}

impl Interrupts {
    /// # Errors
    ///
    /// If the signals cannot be caught.
    pub(super) fn install() -> Result<Self, Failure> {
        let interrupts = Self::default();
        let failed = |error: io::Error| Failure::Failed(format!("could not catch signals: {error}"));
        let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(failed)?;
        // `nohup` sets it to ignored, which must stay.
        if !is_ignored(SIGHUP) {
            signals.add_signal(SIGHUP).map_err(failed)?;
        }
        let on_signal = interrupts.clone();
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || signals.forever().for_each(|_| on_signal.raise()))
            .map_err(failed)?;
        Ok(interrupts)
    }

    fn raise(&self) {
        let stopper = self.shared.stopper.lock();
        let count = self.shared.count.fetch_add(1, Ordering::SeqCst);
        let is_running = stopper.is_some();
        if let Some(stopper) = &*stopper {
            stopper.stop(Shutdown::HandBack);
        }
        drop(stopper);
        self.shared.raised.notify_all();
        if is_running {
            let began = Instant::now();
            let is_enough = || began.elapsed() >= SAY_MAX;
            say_unless(
                &is_enough,
                match count {
                    0 => "stopping after the items in progress; interrupt again to stop these",
                    1 => "stopping the items in progress; interrupt again to kill them",
                    _ => "killing the items in progress",
                },
            );
        }
    }

    /// Lets signals stop this run, including earlier ones.
    pub(super) fn stop_with(&self, stopper: Stopper) {
        let mut current = self.shared.stopper.lock();
        if self.any() {
            stopper.stop(Shutdown::HandBack);
        }
        *current = Some(stopper);
    }

    /// Marks the run as ended.
    pub(super) fn end_of_run(&self) {
        *self.shared.stopper.lock() = None;
    }

    pub(super) fn any(&self) -> bool {
        self.shared.count.load(Ordering::SeqCst) > 0
    }

    /// Returns how urgently running commands must stop.
    pub(super) fn urgency(&self) -> Urgency {
        match self.shared.count.load(Ordering::SeqCst) {
            0 | 1 => Urgency::GoOn,
            2 => Urgency::Stop,
            _ => Urgency::Kill,
        }
    }

    /// Sleeps for `time` or until a request to stop; returns whether there was one.
    pub(super) fn sleep(&self, time: Duration) -> bool {
        let until = Instant::now().checked_add(time);
        let mut stopper = self.shared.stopper.lock();
        while !self.any() {
            let is_over = match until {
                Some(until) => self.shared.raised.wait_until(&mut stopper, until).timed_out(),
                None => {
                    self.shared.raised.wait(&mut stopper);
                    false
                }
            };
            if is_over {
                return self.any();
            }
        }
        true
    }
}

/// Reports whether `signal` was inherited as ignored.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    has_ignored(&status, signal)
}

fn has_ignored(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    mask & (1 << (signal - 1)) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_a_mask() {
        let status = "Name:\tx\nSigBlk:\t0000000000000002\nSigIgn:\t0000000000000001\n";
        assert!(has_ignored(status, SIGHUP) && !has_ignored(status, SIGINT));
        assert!(!has_ignored("", SIGHUP));
    }
}
