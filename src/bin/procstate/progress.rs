//! Signs of life on long work, on a terminal only.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::output::stderr_is_terminal;

const TICK: Duration = Duration::from_millis(120);

/// Something that takes a while, nobody knows how long.
pub(crate) struct Busy {
    bar: ProgressBar,
}

impl Busy {
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

impl Drop for Busy {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
