//! Durations on the command line.

use std::time::Duration;

/// Parses `90` (seconds), `1.5`, `90s`, `1h 30m`, `12h`.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds)
            .map_err(|_| format!("{text:?} is not a valid number of seconds"));
    }
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}; it must be like 90 (seconds), 90s, 1h 30m, or 2d"))
}

/// Formats a duration for people: `1s`, `1m 30s`.
pub(crate) fn format(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_numbers_are_seconds() {
        assert_eq!(parse("90"), Ok(Duration::from_secs(90)));
        assert_eq!(parse("0.2"), Ok(Duration::from_millis(200)));
        assert_eq!(parse("1h 30m"), Ok(Duration::from_secs(5400)));
        for wrong in ["", "-1", "NaN", "inf", "1e300", "5 apples"] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn formats_what_it_parses() {
        assert_eq!(["1", "90", "0.2"].map(|text| format(parse(text).unwrap())), ["1s", "1m 30s", "200ms"]);
    }
}
