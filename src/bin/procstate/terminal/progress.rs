//! Progress indicators of long operations, on a terminal only.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::terminal::output::stderr_is_terminal;

const TICK: Duration = Duration::from_millis(120);

/// An operation of unknown length.
pub(crate) struct Spinner {
    bar: ProgressBar,
}

impl Spinner {
    pub(crate) fn new(what: &'static str) -> Self {
        let bar = if stderr_is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        bar.set_message(what);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(TICK);
        Self { bar }
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// An operation whose progress is known.
pub(crate) struct Bar {
    bar: ProgressBar,
}

impl Bar {
    pub(crate) fn new(what: &'static str) -> Self {
        let bar = if stderr_is_terminal() { ProgressBar::new(0) } else { ProgressBar::hidden() };
        bar.set_message(what);
        if let Ok(style) =
            ProgressStyle::with_template("{msg} {wide_bar} {bytes} of about {total_bytes} {elapsed}")
        {
            bar.set_style(style);
        }
        Self { bar }
    }

    pub(crate) fn set(&self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
    }

    /// Hides the bar while `write` writes to the terminal.
    pub(crate) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
