//! The crontab schedule of a resident run.

use std::time::Duration;

use cronexpr::{Crontab, FallbackTimezoneOption, MakeTimestamp, ParseOptions};
use procstate::{Clock, SystemClock, Timestamp};

use crate::failure::Failure;

/// Parses the five fields of a crontab expression, and its optional time zone.
pub(super) fn crontab(text: &str) -> Result<Crontab, String> {
    let mut options = ParseOptions::default();
    options.fallback_timezone_option = FallbackTimezoneOption::System;
    cronexpr::parse_crontab_with(text, options).map_err(|error| {
        let lines: Vec<String> = error.to_string().lines().map(|line| line.trim().to_owned()).collect();
        format!("{}; it must be like \"30 4 * * MON-FRI\"", lines.join(" "))
    })
}

/// Returns the first time of `crontab` after `after`.
pub(super) fn next(crontab: &Crontab, after: Timestamp) -> Result<Timestamp, Failure> {
    let failed = |error: cronexpr::Error| Failure::Failed(format!("no time comes after this: {error}"));
    let after = MakeTimestamp::from_second(after.as_second()).map_err(failed)?;
    let next = crontab.find_next(after).map_err(failed)?.timestamp().as_second();
    Timestamp::from_second(next).map_err(|error| Failure::failed(&error))
}

/// Returns the time until `at`, or zero if that is past.
pub(super) fn time_until(at: Timestamp) -> Duration {
    let now = SystemClock::new().now();
    Duration::try_from(at.duration_since(now)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_time_is_by_the_zone_of_the_expression() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let crontab = crontab("30 4 * * * Europe/Berlin").unwrap();
        assert_eq!(next(&crontab, at("2026-01-01T00:00:00Z")).unwrap(), at("2026-01-01T03:30:00Z"));
        assert_eq!(next(&crontab, at("2026-01-01T03:30:00Z")).unwrap(), at("2026-01-02T03:30:00Z"));
        assert_eq!(next(&crontab, at("2026-07-01T00:00:00Z")).unwrap(), at("2026-07-01T02:30:00Z"));
    }

    #[test]
    fn invalid_expressions_are_refused() {
        for wrong in ["", "* * *", "61 * * * *", "@hourly", "0 0 * * * Nowhere/At_All"] {
            assert!(crontab(wrong).is_err(), "{wrong:?}");
        }
    }
}
