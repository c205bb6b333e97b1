//! Signals that ask the program to stop.

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

/// How long the next signal waits for somebody to read what is said about this one.
const SAY_MAX: Duration = Duration::from_millis(500);

/// How often somebody asked this program to stop, by SIGINT, SIGTERM or SIGHUP: once to
/// stop after the items in hand, twice to stop those too, three times to kill them.
#[derive(Clone, Default)]
pub(super) struct Interrupts {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    count: AtomicU32,
    /// What stops the run that is on.
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
        // `nohup` has it ignored, and so it stays.
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
                    0 => "stopping after the items in hand; once more to stop them",
                    1 => "stopping the items in hand; once more to kill them",
                    _ => "killing the items in hand",
                },
            );
        }
    }

    /// Lets signals stop a run, also those that came before.
    pub(super) fn stop_with(&self, stopper: Stopper) {
        let mut current = self.shared.stopper.lock();
        if self.any() {
            stopper.stop(Shutdown::HandBack);
        }
        *current = Some(stopper);
    }

    /// The run has ended.
    pub(super) fn end_of_run(&self) {
        *self.shared.stopper.lock() = None;
    }

    pub(super) fn any(&self) -> bool {
        self.shared.count.load(Ordering::SeqCst) > 0
    }

    /// What they mean for the commands that run.
    pub(super) fn urgency(&self) -> Urgency {
        match self.shared.count.load(Ordering::SeqCst) {
            0 | 1 => Urgency::GoOn,
            2 => Urgency::Stop,
            _ => Urgency::Kill,
        }
    }

    /// Waits for `time`, or until somebody asks to stop; answers whether somebody did.
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

/// Whether whoever started this program has it ignore `signal`.
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
