//! The error budget of a run and of an item.

use jiff::Timestamp;

use super::time;
use crate::proto::{RunError, Status};

/// The most errors kept of one item; one more aborts the run.
pub(crate) const ITEM_ERRORS_MAX: usize = 10;

/// The most errors kept of one run; one more aborts it.
pub(crate) const RUN_ERRORS_MAX: usize = 25;

/// The longest text of an error, in bytes; a longer one is cut.
pub(crate) const TEXT_BYTES_MAX: usize = 1024;

/// Whether the budget bears another error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Budget {
    Within,
    /// This error was one too many: the run must stop.
    Exceeded,
}

/// Counts an error in `status`, and keeps it if fewer than `kept_max` are.
pub(crate) fn record(status: &mut Status, kept_max: usize, now: Timestamp, text: &str) -> Budget {
    let time = Some(time::to_wire(now));
    status.total_errors = status.total_errors.saturating_add(1);
    status.last_error_time = time;
    if status.errors.len() < kept_max {
        status.errors.push(RunError { time, text: cut(text).to_owned() });
    }
    let max = i64::try_from(kept_max).unwrap_or(i64::MAX);
    if status.total_errors > max { Budget::Exceeded } else { Budget::Within }
}

/// The text up to the limit, cut between two characters.
pub(crate) fn cut(text: &str) -> &str {
    let end = (0..=TEXT_BYTES_MAX.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_all_and_keeps_the_first() {
        let mut status = Status::default();
        let now = Timestamp::UNIX_EPOCH;
        for n in 0..ITEM_ERRORS_MAX {
            assert_eq!(record(&mut status, ITEM_ERRORS_MAX, now, &n.to_string()), Budget::Within);
        }
        assert_eq!(record(&mut status, ITEM_ERRORS_MAX, now, "one too many"), Budget::Exceeded);
        assert_eq!(status.errors.len(), ITEM_ERRORS_MAX);
        assert_eq!(status.total_errors, 11);
        assert_eq!(status.errors[9].text, "9");
    }

    #[test]
    fn cuts_between_characters() {
        let text = "x".repeat(TEXT_BYTES_MAX - 1) + "üüü";
        assert_eq!(cut(&text).len(), TEXT_BYTES_MAX - 1);
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"x".repeat(TEXT_BYTES_MAX)).len(), TEXT_BYTES_MAX);
    }
}
