//! When a run is due.
//!
//! Time is cut into slots of one schedule period, counted from the epoch, and
//! each slot gets one run.

use std::time::Duration;

use jiff::Timestamp;

use super::time::NANOS_PER_SECOND;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Now,
    At(Timestamp),
}

/// Whether a run is due at `now`, by the schedule alone, if the latest one
/// started at `last_start`.
///
/// A start after the current slot was made by a clock that has since been set
/// back. It is not believed: at most one run comes early, and none waits longer
/// than a period.
pub(crate) fn due(period: Option<Duration>, last_start: Option<Timestamp>, now: Timestamp) -> Due {
    let (Some(period), Some(last_start)) = (period, last_start) else { return Due::Now };
    let period = nanos(period);
    let slot = now.as_nanosecond().div_euclid(period);
    if last_start.as_nanosecond().div_euclid(period) != slot {
        return Due::Now;
    }
    Due::At(slot_start(slot.saturating_add(1), period))
}

fn nanos(period: Duration) -> i128 {
    let nanos = i128::from(period.as_secs()) * NANOS_PER_SECOND + i128::from(period.subsec_nanos());
    nanos.max(1)
}

fn slot_start(slot: i128, period: i128) -> Timestamp {
    Timestamp::from_nanosecond(slot.saturating_mul(period)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn hourly(last_start: &str, now: &str) -> Due {
        due(Some(HOUR), Some(at(last_start)), at(now))
    }

    #[test]
    fn once_a_slot() {
        let next = Due::At(at("2026-01-01T11:00:00Z"));
        assert_eq!(hourly("2026-01-01T10:00:00Z", "2026-01-01T10:00:00Z"), next);
        assert_eq!(hourly("2026-01-01T10:05:00Z", "2026-01-01T10:59:59Z"), next);
        assert_eq!(hourly("2026-01-01T10:05:00Z", "2026-01-01T11:00:00Z"), Due::Now);
        assert_eq!(hourly("2026-01-01T10:59:59Z", "2026-01-01T11:00:00Z"), Due::Now);
        assert_eq!(hourly("2020-01-01T00:00:00Z", "2026-01-01T11:00:00Z"), Due::Now);
    }

    #[test]
    fn always_without_a_schedule_or_a_run() {
        let now = at("2026-01-01T10:00:00Z");
        assert_eq!(due(None, Some(now), now), Due::Now);
        assert_eq!(due(Some(HOUR), None, now), Due::Now);
    }

    #[test]
    fn a_start_ahead_of_the_clock_locks_nobody_out() {
        // A little ahead, same slot: as if it were now.
        let next = Due::At(at("2026-01-01T11:00:00Z"));
        assert_eq!(hourly("2026-01-01T10:05:00Z", "2026-01-01T10:04:59Z"), next);
        // A day ahead: the clock was set back.
        assert_eq!(hourly("2026-01-02T10:05:00Z", "2026-01-01T10:05:00Z"), Due::Now);
    }

    #[test]
    fn slots_before_the_epoch_and_at_the_end_of_time() {
        let slot = due(Some(HOUR), Some(at("1969-12-31T23:10:00Z")), at("1969-12-31T23:20:00Z"));
        assert_eq!(slot, Due::At(Timestamp::UNIX_EPOCH));
        let slot = due(Some(Duration::MAX), Some(at("2026-01-01T00:00:00Z")), at("2026-01-02T00:00:00Z"));
        assert_eq!(slot, Due::At(Timestamp::MAX));
    }
}
