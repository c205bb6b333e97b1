//! Formats figures, times and texts for people.

use std::time::Duration;

use prost_types::Timestamp as Wire;

use crate::Timestamp;
use crate::proto::State;
use crate::text::visible;

/// Formats a text on one line, with everything visible.
pub(super) fn text(text: &str) -> String {
    visible(text).into_owned()
}

/// Formats a text of several lines.
pub(super) fn lines(text: &str) -> String {
    text.lines().map(self::text).collect::<Vec<_>>().join("\n")
}

/// Returns the start of the first non-empty line.
pub(super) fn first_line(text: &str) -> String {
    const CHARS_MAX: usize = 160;
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    match line.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", self::text(line.get(..end).unwrap_or(line))),
        None => self::text(line),
    }
}

/// A point in time.
#[derive(Debug, Clone)]
pub(super) struct ShownTime {
    /// The exact time, for machines.
    pub(super) exact: String,
    /// The time to the second.
    pub(super) shown: String,
    /// The time relative to now.
    pub(super) age: String,
}

pub(super) fn moment(time: Timestamp, now: Timestamp) -> ShownTime {
    let seconds = time.duration_since(now).as_secs_f64();
    let age = if seconds.abs() < 1.0 {
        "now".to_owned()
    } else if seconds < 0.0 {
        format!("{} ago", seconds_text(-seconds))
    } else {
        format!("in {}", seconds_text(seconds))
    };
    ShownTime { exact: time.to_string(), shown: time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(), age }
}

pub(super) fn from_wire(wire: Option<&Wire>) -> Option<Timestamp> {
    wire.and_then(|wire| Timestamp::new(wire.seconds, wire.nanos).ok())
}

pub(super) fn wire_moment(wire: Option<&Wire>, now: Timestamp) -> Option<ShownTime> {
    from_wire(wire).map(|time| moment(time, now))
}

/// Formats seconds in one unit.
pub(super) fn seconds_text(seconds: f64) -> String {
    const UNITS: [(f64, f64, &str); 4] = [
        (120.0, 1.0, "s"),
        (7200.0, 60.0, "min"),
        (172_800.0, 3600.0, "h"),
        (f64::INFINITY, 86400.0, "days"),
    ];
    if seconds < 1.0 {
        return format!("{:.0} ms", seconds * 1000.0);
    }
    if seconds < 10.0 {
        return format!("{seconds:.1} s");
    }
    let unit = UNITS.iter().find(|(below, ..)| seconds < *below);
    let (_, size, unit) = unit.copied().unwrap_or((0.0, 1.0, "s"));
    format!("{:.0} {unit}", (seconds / size).floor())
}

/// Formats a duration so that it can be parsed again.
pub(super) fn typed(period: Duration) -> String {
    humantime::format_duration(period).to_string()
}

/// Formats a count with separators.
pub(super) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push('\u{a0}');
        }
        text.push(digit);
    }
    text
}

/// Formats a statistic, with a few decimals if needed.
pub(super) fn figure(value: f64) -> String {
    if value.fract() == 0.0 || !value.is_finite() { value.to_string() } else { format!("{value:.3}") }
}

/// Formats items per second.
pub(super) fn rate(per_second: f64) -> String {
    if per_second >= 10.0 {
        format!("{per_second:.0}/s")
    } else if per_second >= 0.1 {
        format!("{per_second:.1}/s")
    } else {
        format!("{:.1}/h", per_second * 3600.0)
    }
}

/// Returns the name of a run's state.
pub(super) fn state(state: State) -> String {
    state.as_str_name().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_relative_to_now() {
        let now: Timestamp = "2026-01-01T10:00:00Z".parse().unwrap();
        let age = |time: &str| moment(time.parse().unwrap(), now).age;
        assert_eq!(age("2026-01-01T10:00:00.4Z"), "now");
        assert_eq!(seconds_text(0.0271), "27 ms");
        assert_eq!(age("2026-01-01T09:59:57Z"), "3.0 s ago");
        assert_eq!(age("2026-01-01T09:58:10Z"), "110 s ago");
        assert_eq!(age("2026-01-01T11:59:00Z"), "in 119 min");
        assert_eq!(age("2025-12-29T10:00:00Z"), "3 days ago");
    }

    #[test]
    fn figures_are_short() {
        assert_eq!(["7", "1\u{a0}000", "12\u{a0}345\u{a0}678"], [7, 1000, 12_345_678].map(count));
        assert_eq!(["3", "0.333", "-1.500"], [3.0, 1.0 / 3.0, -1.5].map(figure));
        assert_eq!(["250/s", "1.5/s", "36.0/h"], [250.2, 1.5, 0.01].map(rate));
    }

    #[test]
    fn texts_are_fully_visible() {
        assert_eq!(lines("a\r\nb\u{202e}c\0"), "a\nb\\u{202e}c\\u{0}");
        assert_eq!(first_line("\n  what went wrong \nmore"), "what went wrong");
        assert_eq!(first_line(&"ä".repeat(200)).chars().count(), 161);
    }
}
