//! The times of a cron expression.
//!
//! An expression with fixed hours is evaluated in local wall-clock time, and each time occurs once
//! a day: a time skipped by daylight saving moves later by the length of the gap, and an ambiguous
//! time means the first occurrence. An expression whose hours begin with `*` follows elapsed hours,
//! as cron does.

use std::time::Duration;

use cronexpr::jiff::tz::TimeZone;
use cronexpr::jiff::{SignedDuration, Timestamp as Instant, Zoned, civil};
use cronexpr::{Crontab, MakeTimestamp};
use jiff::Timestamp;

use crate::model::time::NANOS_PER_SECOND;

/// The number of fields of an expression, without its time zone.
const FIELDS: usize = 5;

/// The range of years in which the search stays within the calendar; cronexpr panics past its end.
const YEAR_1: i64 = -62_135_596_800;
const YEAR_9990: i64 = 253_086_768_000;

#[derive(Debug)]
pub(crate) struct Cron {
    /// Evaluated in local wall-clock time as if that were UTC.
    wall: Crontab,
    /// Evaluated in elapsed hours, for expressions that follow those.
    passing: Option<Crontab>,
    zone: TimeZone,
}

impl Cron {
    /// Parses five fields and the name of a time zone.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let Some((fields, [zone])) = words.split_at_checked(FIELDS) else {
            return Err(format!(
                "{text:?} is not five fields and a time zone, like \"30 2 * * * Europe/Berlin\""
            ));
        };
        let found = TimeZone::get(zone).map_err(|_| {
            format!(
                "{zone:?} is no time zone in the time zone database of this machine; name one like Europe/Berlin or UTC"
            )
        })?;
        let read = |zone: &str| {
            cronexpr::parse_crontab(&format!("{} {zone}", fields.join(" "))).map_err(|error| {
                // All lines but the last repeat the text.
                let error = error.to_string();
                let why = error.lines().last().unwrap_or_default().trim_start_matches([' ', '^']);
                format!("{text:?} is not a cron expression: {why}")
            })
        };
        let goes_by_hours = fields.get(1).is_some_and(|hours| hours.starts_with('*'));
        let passing = goes_by_hours.then(|| read(zone)).transpose()?;
        Ok(Self { wall: read("UTC")?, passing, zone: found })
    }

    /// Returns the first time after `after`; `None` if there is none within four years.
    pub(crate) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        // Expressions have a resolution of one second.
        let seconds = i64::try_from(after.as_nanosecond().div_euclid(NANOS_PER_SECOND)).ok()?;
        if seconds > YEAR_9990 {
            return None;
        }
        let after = Instant::from_second(seconds.max(YEAR_1)).ok()?;
        let next = match &self.passing {
            Some(crontab) => crontab.find_next(MakeTimestamp(after)).ok()?.timestamp(),
            None => self.next_on_the_wall(after)?,
        };
        Timestamp::from_second(next.as_second()).ok()
    }

    /// Returns the shortest interval among the next ten times, or a year if there is only one.
    pub(crate) fn shortest_period(&self, now: Timestamp) -> Option<Duration> {
        const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
        let first = self.next(now)?;
        let times: Vec<Timestamp> =
            std::iter::successors(Some(first), |time| self.next(*time)).take(10).collect();
        let periods = times.iter().zip(times.iter().skip(1)).map(|(one, next)| next.duration_since(*one));
        Some(periods.min().and_then(|period| Duration::try_from(period).ok()).unwrap_or(YEAR))
    }

    fn next_on_the_wall(&self, after: Instant) -> Option<Instant> {
        let day_before = after.checked_sub(SignedDuration::from_hours(24)).ok()?;
        // If the clock was put forward since, the times that it skipped may still be ahead.
        let offsets = [day_before, after].map(|time| self.zone.to_offset(time));
        let mut wall = offsets.map(|offset| offset.to_datetime(after)).into_iter().min()?;
        let mut found: Option<Zoned> = None;
        while let Some(next) = self.wall_after(wall) {
            if found.as_ref().is_some_and(|found| found.datetime() <= next) {
                break;
            }
            wall = next;
            let time = self.zone.to_ambiguous_zoned(wall).compatible().ok()?;
            if time.timestamp() > after {
                // A later wall-clock time may come before one that moved over the gap.
                found = found.into_iter().chain([time]).min();
            }
        }
        found.map(|found| found.timestamp())
    }

    fn wall_after(&self, wall: civil::DateTime) -> Option<civil::DateTime> {
        let after = TimeZone::UTC.to_timestamp(wall).ok()?;
        Some(self.wall.find_next(MakeTimestamp(after)).ok()?.datetime())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// Returns the times between two times.
    fn times(expression: &str, after: &str, until: &str) -> Vec<String> {
        let cron = Cron::parse(expression).unwrap();
        let next = |time: &Timestamp| cron.next(*time);
        let all = std::iter::successors(cron.next(at(after)), next);
        all.take_while(|time| *time <= at(until)).map(|time| time.to_string()).collect()
    }

    #[test]
    fn times_follow_the_zones_wall_clock() {
        assert_eq!(
            times("30 2 * * * Europe/Berlin", "2026-01-01T01:30:00Z", "2026-01-03T12:00:00Z"),
            ["2026-01-02T01:30:00Z", "2026-01-03T01:30:00Z"]
        );
        assert_eq!(
            times("0 9 * * MON-FRI America/New_York", "2026-07-03T14:00:00Z", "2026-07-07T12:00:00Z"),
            ["2026-07-06T13:00:00Z"]
        );
    }

    #[test]
    fn skipped_times_move_later_once() {
        // In Berlin 02:00 is followed by 03:00 on 2026-03-29.
        assert_eq!(
            times("30 2 * * * Europe/Berlin", "2026-03-28T00:00:00Z", "2026-03-30T12:00:00Z"),
            ["2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"]
        );
        // 02:30 comes at 03:30, after 03:00.
        assert_eq!(
            times("0,30 2,3 * * * Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29T12:00:00Z"),
            ["2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"]
        );
        // From within the hour after the gap.
        assert_eq!(
            times("30 2 * * * Europe/Berlin", "2026-03-29T01:10:00Z", "2026-03-29T12:00:00Z"),
            ["2026-03-29T01:30:00Z"]
        );
        assert_eq!(
            times("0,45 2,3 * * * Europe/Berlin", "2026-03-29T01:00:00Z", "2026-03-29T12:00:00Z"),
            ["2026-03-29T01:45:00Z"]
        );
        // In Lord Howe 02:00 is followed by 02:30 on 2026-10-04, so 02:15 comes after 02:30.
        assert_eq!(
            times("15,30 2 * * * Australia/Lord_Howe", "2026-10-03T12:00:00Z", "2026-10-04T12:00:00Z"),
            ["2026-10-03T15:30:00Z", "2026-10-03T15:45:00Z"]
        );
        // A day that the time zone skipped.
        assert_eq!(
            times("0 12 * * * Pacific/Apia", "2011-12-29T12:00:00Z", "2012-01-01T12:00:00Z"),
            ["2011-12-29T22:00:00Z", "2011-12-30T22:00:00Z", "2011-12-31T22:00:00Z"]
        );
    }

    #[test]
    fn ambiguous_times_occur_once() {
        // In Berlin 03:00 is followed by 02:00 on 2026-10-25.
        assert_eq!(
            times("30 2 * * * Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z"),
            ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
        );
        let cron = Cron::parse("30 2 * * * Europe/Berlin").unwrap();
        for between in ["2026-10-25T00:30:00Z", "2026-10-25T00:59:59Z", "2026-10-25T01:29:59.9Z"] {
            assert_eq!(cron.next(at(between)), Some(at("2026-10-26T01:30:00Z")), "{between}");
        }
    }

    #[test]
    fn hourly_expressions_ignore_clock_changes() {
        assert_eq!(
            times("30 * * * * Europe/Berlin", "2026-10-24T23:59:00Z", "2026-10-25T02:59:00Z"),
            ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"]
        );
        assert_eq!(
            times("30 * * * * Europe/Berlin", "2026-03-28T23:59:00Z", "2026-03-29T02:59:00Z"),
            ["2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z", "2026-03-29T02:30:00Z"]
        );
    }

    proptest! {
        #[test]
        fn parsing_and_searching_never_panic(
            text in prop_oneof![
                ".{0,40}",
                "([0-9*/,LWH#-]{1,5} ){5}(UTC|Europe/Berlin|[A-Z/.]{0,6})",
                "([0-9]|\\*|\\*/[0-9]|[1-4]-[5-7]) ([0-9]|\\*|2-5) ([1-9]|\\*|L|1W) \\* ([0-7]|\\*|5L|1#2) (UTC|Pacific/Apia)",
            ],
            nanos in Timestamp::MIN.as_nanosecond()..=Timestamp::MAX.as_nanosecond(),
        ) {
            let time = Timestamp::from_nanosecond(nanos).unwrap();
            if let Ok(cron) = Cron::parse(&text)
                && let Some(next) = cron.next(time)
            {
                prop_assert!(next > time);
            }
        }
    }

    #[test]
    fn the_shortest_period_is_that_of_the_next_ten_times() {
        let shortest = |text: &str, now: &str| Cron::parse(text).unwrap().shortest_period(at(now));
        let hours = |hours: u64| Some(Duration::from_secs(3600 * hours));
        for (text, period) in [
            ("*/15 * * * * UTC", Some(Duration::from_secs(900))),
            ("30 2 * * * UTC", hours(24)),
            ("0 9,17 * * * UTC", hours(8)),
            ("0 0 1 * * UTC", hours(28 * 24)),
            ("0 0 30 2 * UTC", None),
        ] {
            assert_eq!(shortest(text, "2026-01-01T00:00:00Z"), period, "{text}");
        }
        // The search ends after the year 9990, so there is only one time.
        assert_eq!(shortest("0 0 1 1 * UTC", "9990-01-01T00:00:00Z"), hours(365 * 24));
    }

    #[test]
    fn the_search_ends_with_the_year_9990() {
        let cron = Cron::parse("0 0 1 1 * UTC").unwrap();
        assert_eq!(cron.next(at("9990-01-01T00:00:00Z")), Some(at("9991-01-01T00:00:00Z")));
        assert_eq!(cron.next(at("9990-01-01T00:00:01Z")), None);
    }

    #[test]
    fn impossible_and_invalid_expressions() {
        assert_eq!(Cron::parse("0 0 30 2 * UTC").unwrap().next(at("2026-01-01T00:00:00Z")), None);
        assert_eq!(Cron::parse("0 0 * * * UTC").unwrap().next(Timestamp::MAX), None);
        assert!(
            Cron::parse("0 0 * * * UTC")
                .unwrap()
                .next(Timestamp::MIN)
                .is_none_or(|time| time > Timestamp::MIN)
        );
        for wrong in [
            "",
            "* * * UTC",
            "61 * * * * UTC",
            "@hourly",
            "0 0 * * * Nowhere/At_All",
            "0 0 * * *",
            "0 0 * * * UTC UTC",
        ] {
            assert!(Cron::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
