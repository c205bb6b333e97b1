//! The errors kept for a run and for an item.

use jiff::Timestamp;

use super::time;
use crate::proto::{RunError, Status};

/// The maximum number of errors kept for an item. An attempt that exceeds it ends.
pub(crate) const ITEM_ERRORS_MAX: usize = 10;

/// The maximum number of errors kept for a run.
pub(crate) const RUN_ERRORS_MAX: usize = 25;

/// The maximum length of an error's text, in bytes; longer texts are truncated.
pub(crate) const TEXT_BYTES_MAX: usize = 1024;

/// Counts an error in `status`, and keeps it if fewer than `kept_max` are kept.
pub(crate) fn record(status: &mut Status, kept_max: usize, now: Timestamp, text: &str) {
    let error = count(status, now, text);
    if status.errors.len() < kept_max {
        status.errors.push(error);
    }
}

/// Counts an error that must be kept, replacing the last kept error if the list is full.
pub(crate) fn record_reason(status: &mut Status, kept_max: usize, now: Timestamp, text: &str) {
    let error = count(status, now, text);
    status.errors.truncate(kept_max.saturating_sub(1));
    status.errors.push(error);
}

fn count(status: &mut Status, now: Timestamp, text: &str) -> RunError {
    let time = Some(time::to_wire(now));
    status.total_errors = status.total_errors.saturating_add(1);
    status.last_error_time = time;
    RunError { time, text: cut(text).to_owned() }
}

/// Truncates the text to the limit at a character boundary.
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
        for n in 0..=ITEM_ERRORS_MAX {
            record(&mut status, ITEM_ERRORS_MAX, Timestamp::UNIX_EPOCH, &n.to_string());
        }
        assert_eq!(status.errors.len(), ITEM_ERRORS_MAX);
        assert_eq!(status.total_errors, 11);
        assert_eq!(status.errors[9].text, "9");
    }

    #[test]
    fn a_reason_is_kept_in_a_full_list() {
        let mut status = Status::default();
        for n in 0..3 {
            record(&mut status, 3, Timestamp::UNIX_EPOCH, &n.to_string());
        }
        record_reason(&mut status, 3, Timestamp::UNIX_EPOCH, "why");
        let texts: Vec<_> = status.errors.iter().map(|error| error.text.as_str()).collect();
        assert_eq!((texts, status.total_errors), (vec!["0", "1", "why"], 4));
    }

    #[test]
    fn cuts_between_characters() {
        let text = "x".repeat(TEXT_BYTES_MAX - 1) + "üüü";
        assert_eq!(cut(&text).len(), TEXT_BYTES_MAX - 1);
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"x".repeat(TEXT_BYTES_MAX)).len(), TEXT_BYTES_MAX);
    }
}
