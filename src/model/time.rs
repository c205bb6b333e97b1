//! Conversion of times and durations from and to the wire types.
//!
//! The wire types can hold values that no calendar has (minus five nanoseconds, the year 200,000).
//! The store returns such values unchanged; the rules treat them as absent.

use std::time::Duration;

use jiff::Timestamp;
use prost_types::{Duration as WireDuration, Timestamp as WireTimestamp};

pub(crate) const NANOS_PER_SECOND: i128 = 1_000_000_000;

pub(crate) fn to_wire(time: Timestamp) -> WireTimestamp {
    // jiff counts nanoseconds backwards before the epoch; the wire type always counts forwards.
    let nanos = time.as_nanosecond();
    WireTimestamp {
        seconds: i64::try_from(nanos.div_euclid(NANOS_PER_SECOND)).unwrap_or(i64::MAX),
        nanos: i32::try_from(nanos.rem_euclid(NANOS_PER_SECOND)).unwrap_or_default(),
    }
}

/// Returns the time of a wire timestamp; `None` if it is invalid.
pub(crate) fn from_wire(wire: &WireTimestamp) -> Option<Timestamp> {
    if !(0..1_000_000_000).contains(&wire.nanos) {
        return None;
    }
    let nanos = i128::from(wire.seconds) * NANOS_PER_SECOND + i128::from(wire.nanos);
    Timestamp::from_nanosecond(nanos).ok()
}

/// Reads an optional wire field.
pub(crate) fn read(wire: &Option<WireTimestamp>) -> Option<Timestamp> {
    wire.as_ref().and_then(from_wire)
}

/// Returns the wire form of a period; `None` if it is too long.
pub(crate) fn period_to_wire(period: Duration) -> Option<WireDuration> {
    let nanos = i32::try_from(period.subsec_nanos()).ok()?;
    Some(WireDuration { seconds: i64::try_from(period.as_secs()).ok()?, nanos })
}

/// Parses a period in its JSON form: `7200s`.
pub(crate) fn period_from_text(text: &str) -> Option<Duration> {
    Duration::try_from(text.parse::<WireDuration>().ok()?).ok()
}

/// Returns the period of a schedule; `None` if it is absent, zero or negative.
pub(crate) fn period(wire: &Option<WireDuration>) -> Option<Duration> {
    let wire = wire.as_ref()?;
    let nanos = i128::from(wire.seconds) * NANOS_PER_SECOND + i128::from(wire.nanos);
    let seconds = u64::try_from(nanos.div_euclid(NANOS_PER_SECOND)).ok()?;
    let subsecond = u32::try_from(nanos.rem_euclid(NANOS_PER_SECOND)).ok()?;
    Some(Duration::new(seconds, subsecond)).filter(|period| !period.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_before_the_epoch_count_nanoseconds_ahead() {
        let time: Timestamp = "1969-12-31T23:59:58.5Z".parse().unwrap();
        assert_eq!(to_wire(time), WireTimestamp { seconds: -2, nanos: 500_000_000 });
    }

    #[test]
    fn invalid_times_are_absent() {
        for (seconds, nanos) in [(0, -1), (0, 1_000_000_000), (i64::MAX, 0), (i64::MIN, 0)] {
            assert_eq!(from_wire(&WireTimestamp { seconds, nanos }), None);
        }
    }

    #[test]
    fn a_schedule_is_a_positive_period() {
        let wire = |seconds, nanos| Some(WireDuration { seconds, nanos });
        assert_eq!(period(&wire(3600, 0)), Some(Duration::from_secs(3600)));
        assert_eq!(period(&wire(0, 5)), Some(Duration::from_nanos(5)));
        for none in [None, wire(0, 0), wire(-1, 0), wire(0, -1), wire(i64::MIN, i32::MIN)] {
            assert_eq!(period(&none), None, "{none:?}");
        }
    }

    proptest! {
        #[test]
        fn wire_and_back(nanos in Timestamp::MIN.as_nanosecond()..=Timestamp::MAX.as_nanosecond()) {
            let time = Timestamp::from_nanosecond(nanos).unwrap();
            prop_assert_eq!(from_wire(&to_wire(time)), Some(time));
        }

        #[test]
        fn any_wire_value_is_read_without_panic(seconds: i64, nanos: i32) {
            let _ = from_wire(&WireTimestamp { seconds, nanos });
            let _ = period(&Some(WireDuration { seconds, nanos }));
        }
    }
}
