//! When a run is due.
//!
//! Time is divided into slots, and each slot gets one run. The slots of a period are counted from
//! the Unix epoch in UTC plus an offset; those of a cron expression begin at its times.

#[cfg(feature = "cron")]
pub(crate) mod cron;

use std::time::Duration;

use jiff::Timestamp;

#[cfg(feature = "cron")]
use self::cron::Cron;
use super::time::{self, NANOS_PER_SECOND};
use crate::proto::Params;
use crate::proto::record::Settings;

/// Schedule parameters in the settings for which the schema has no fields. Other programs and older
/// versions of this one preserve them like any other parameter.
pub(crate) const CRON: &str = "schedule.cron";
pub(crate) const OFFSET: &str = "schedule.offset";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Now,
    At(Timestamp),
}

/// What makes a process due.
#[derive(Debug)]
pub(crate) enum Schedule {
    /// Due whenever it is not held.
    Always,
    Every {
        period: Duration,
        offset: Duration,
    },
    #[cfg(feature = "cron")]
    Cron(Box<Cron>),
}

impl Schedule {
    /// Reads the schedule from the settings.
    ///
    /// # Errors
    ///
    /// Returns the reason if it cannot be used.
    pub(crate) fn read(settings: &Settings) -> Result<Self, String> {
        if let Some(cron) = text(settings, CRON) {
            return read_cron(cron);
        }
        let Some(period) = time::period(&settings.schedule_frequency) else { return Ok(Self::Always) };
        let offset = offset(settings)?.unwrap_or_default();
        Ok(Self::Every { period, offset })
    }

    /// Reports whether changed settings and work make a run due.
    ///
    /// They do not if the schedule names explicit times.
    pub(crate) fn heeds_changes(&self) -> bool {
        match self {
            Self::Always | Self::Every { .. } => true,
            #[cfg(feature = "cron")]
            Self::Cron(_) => false,
        }
    }

    /// Reports whether a run is due at `now`, given that the latest one started at `last_start`.
    ///
    /// A start after the current slot was recorded by a clock that has since been set back, and is
    /// ignored: at most one run comes early, and none waits past the next slot.
    pub(crate) fn due(&self, last_start: Option<Timestamp>, now: Timestamp) -> Due {
        let Some(last_start) = last_start else { return Due::Now };
        match self {
            Self::Always => Due::Now,
            Self::Every { period, offset } => due_every(*period, *offset, last_start, now),
            #[cfg(feature = "cron")]
            Self::Cron(cron) => due_cron(cron, last_start, now),
        }
    }
}

/// Returns the offset of the slots.
pub(crate) fn offset(settings: &Settings) -> Result<Option<Duration>, String> {
    period(settings, OFFSET)
}

/// Returns the cron expression with its time zone.
pub(crate) fn cron(settings: &Settings) -> Option<&str> {
    text(settings, CRON)
}

/// Returns the period under the parameter `name` in the settings, if there is one.
pub(super) fn period(settings: &Settings, name: &str) -> Result<Option<Duration>, String> {
    let Some(text) = text(settings, name) else { return Ok(None) };
    time::period_from_text(text)
        .map(Some)
        .ok_or_else(|| format!("the setting {name} is {text:?}; it must be like \"7200s\""))
}

pub(super) fn text<'a>(settings: &'a Settings, name: &str) -> Option<&'a str> {
    settings.settings.as_ref()?.get_string(name)
}

/// Removes the parameters of the schedule.
pub(crate) fn without_schedule(mut params: Params) -> Params {
    params.string_params.retain(|name, _| !is_reserved(name));
    params
}

/// Reports whether a parameter is part of the schedule.
pub(crate) fn is_reserved(name: &str) -> bool {
    [CRON, OFFSET].contains(&name)
}

#[cfg(feature = "cron")]
fn read_cron(text: &str) -> Result<Schedule, String> {
    Cron::parse(text).map(|cron| Schedule::Cron(Box::new(cron)))
}

#[cfg(not(feature = "cron"))]
fn read_cron(text: &str) -> Result<Schedule, String> {
    Err(format!("it is the cron expression {text:?}, and this program is built without the feature `cron`"))
}

fn due_every(period: Duration, offset: Duration, last_start: Timestamp, now: Timestamp) -> Due {
    let period = nanos(period).max(1);
    let offset = nanos(offset).rem_euclid(period);
    let slot = |time: Timestamp| (time.as_nanosecond() - offset).div_euclid(period);
    if slot(last_start) != slot(now) {
        return Due::Now;
    }
    let next = slot(now).saturating_add(1).saturating_mul(period).saturating_add(offset);
    Due::At(Timestamp::from_nanosecond(next).unwrap_or(Timestamp::MAX))
}

fn nanos(period: Duration) -> i128 {
    i128::from(period.as_secs()) * NANOS_PER_SECOND + i128::from(period.subsec_nanos())
}

#[cfg(feature = "cron")]
fn due_cron(cron: &Cron, last_start: Timestamp, now: Timestamp) -> Due {
    // A slot has begun between the two times, whichever is first.
    let next = cron.next(last_start.min(now));
    if next.is_some_and(|next| next <= last_start.max(now)) {
        return Due::Now;
    }
    Due::At(next.unwrap_or(Timestamp::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn every(period: Duration, offset: Duration, last_start: &str, now: &str) -> Due {
        Schedule::Every { period, offset }.due(Some(at(last_start)), at(now))
    }

    fn hourly(last_start: &str, now: &str) -> Due {
        every(HOUR, Duration::ZERO, last_start, now)
    }

    #[test]
    fn a_run_is_due_once_per_slot() {
        let next = Due::At(at("2026-01-01T11:00:00Z"));
        assert_eq!(hourly("2026-01-01T10:00:00Z", "2026-01-01T10:00:00Z"), next);
        assert_eq!(hourly("2026-01-01T10:05:00Z", "2026-01-01T10:59:59Z"), next);
        assert_eq!(hourly("2026-01-01T10:05:00Z", "2026-01-01T11:00:00Z"), Due::Now);
        assert_eq!(hourly("2026-01-01T10:59:59Z", "2026-01-01T11:00:00Z"), Due::Now);
        assert_eq!(hourly("2020-01-01T00:00:00Z", "2026-01-01T11:00:00Z"), Due::Now);
    }

    #[test]
    fn slots_start_at_the_epoch_plus_the_offset() {
        let (day, two) = (24 * HOUR, 2 * HOUR);
        let next = Due::At(at("2026-01-02T02:00:00Z"));
        assert_eq!(every(day, two, "2026-01-01T02:00:00Z", "2026-01-02T01:59:59Z"), next);
        assert_eq!(every(day, two, "2026-01-01T02:00:00Z", "2026-01-02T02:00:00Z"), Due::Now);
        assert_eq!(every(day, two, "2026-01-01T23:00:00Z", "2026-01-02T00:30:00Z"), next);
        // An offset longer than the period counts modulo the period.
        assert_eq!(every(day, two + 5 * day, "2026-01-01T02:00:00Z", "2026-01-02T00:00:00Z"), next);
        // Periods and offsets have nanoseconds.
        let next = Due::At(at("1970-01-01T00:00:01.75Z"));
        let [period, quarter] = [1500, 250].map(Duration::from_millis);
        assert_eq!(every(period, quarter, "1970-01-01T00:00:00.25Z", "1970-01-01T00:00:01.7Z"), next);
        let next = Due::At(at("2026-01-02T00:00:00Z"));
        assert_eq!(every(day, Duration::ZERO, "2026-01-01T13:00:00Z", "2026-01-01T23:00:00Z"), next);
    }

    #[test]
    fn always_without_a_schedule_or_a_run() {
        let now = at("2026-01-01T10:00:00Z");
        assert_eq!(Schedule::Always.due(Some(now), now), Due::Now);
        assert_eq!(Schedule::Every { period: HOUR, offset: Duration::ZERO }.due(None, now), Due::Now);
    }

    #[test]
    fn a_start_in_the_future_does_not_block_runs() {
        // Slightly ahead, in the same slot: treated as now.
        let next = Due::At(at("2026-01-01T11:00:00Z"));
        assert_eq!(hourly("2026-01-01T10:05:00Z", "2026-01-01T10:04:59Z"), next);
        // A day ahead: the clock was set back.
        assert_eq!(hourly("2026-01-02T10:05:00Z", "2026-01-01T10:05:00Z"), Due::Now);
    }

    #[test]
    fn slots_before_the_epoch_and_at_the_end_of_time() {
        let slot = hourly("1969-12-31T23:10:00Z", "1969-12-31T23:20:00Z");
        assert_eq!(slot, Due::At(Timestamp::UNIX_EPOCH));
        let slot = every(Duration::MAX, HOUR, "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
        assert_eq!(slot, Due::At(Timestamp::MAX));
    }

    #[test]
    fn schedules_are_read_from_the_settings() {
        let with = |name: &str, value: &str| Settings {
            settings: Some(Params::new().string(name, value).string("s", "x")),
            schedule_frequency: time::period_to_wire(HOUR),
            ..Settings::default()
        };
        assert_eq!(offset(&with(OFFSET, "90.5s")), Ok(Some(Duration::from_millis(90_500))));
        for wrong in ["", "2h", "-1s", "1"] {
            assert!(
                Schedule::read(&with(OFFSET, wrong)).unwrap_err().contains("schedule.offset"),
                "{wrong:?}"
            );
        }
        assert!(Schedule::read(&with(CRON, "every so often")).is_err());
        assert_eq!(cron(&with(CRON, "30 2 * * * UTC")), Some("30 2 * * * UTC"));
        assert_eq!((cron(&Settings::default()), offset(&Settings::default())), (None, Ok(None)));
        let rest = without_schedule(with(OFFSET, "1s").settings.unwrap());
        assert_eq!(rest, Params::new().string("s", "x"));
    }

    #[cfg(not(feature = "cron"))]
    #[test]
    fn without_the_feature_a_cron_schedule_is_an_error() {
        let why = read_cron("30 2 * * * UTC").unwrap_err();
        assert!(why.contains("without the feature `cron`"), "{why}");
    }
}
