//! Flow control: the concurrency and rate of items.

use std::time::Duration;

/// The maximum concurrency of a runner.
pub(crate) const CONCURRENCY_MAX: usize = 1024;

const PAUSED: &str = "flow.paused";
const CONCURRENCY: &str = "flow.concurrency";
const ITEMS_PER_MINUTE: &str = "flow.itemsPerMinute";

const MINUTE: Duration = Duration::from_secs(60);

/// The limits at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FlowControl {
    /// Whether no new items begin.
    pub(crate) is_paused: bool,
    /// How many items are processed at once; 1 or more.
    pub(crate) concurrency: usize,
    /// How many items may begin per minute, evenly spread; `None`: unlimited.
    pub(crate) items_per_minute: Option<u32>,
}

impl FlowControl {
    /// Returns the limits in the settings, or otherwise those of the builder.
    pub(crate) fn with_settings(&self, setting: impl Fn(&str) -> Option<i64>) -> Self {
        self.with_settings_up_to(CONCURRENCY_MAX, setting)
    }

    /// Returns the limits with at most `max` items at once; see
    /// [`with_settings`](FlowControl::with_settings).
    pub(crate) fn with_settings_up_to(&self, max: usize, setting: impl Fn(&str) -> Option<i64>) -> Self {
        let concurrency = setting(CONCURRENCY).and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
        Self {
            is_paused: setting(PAUSED).map_or(self.is_paused, |paused| paused != 0),
            concurrency: concurrency.unwrap_or(self.concurrency).min(max),
            items_per_minute: setting(ITEMS_PER_MINUTE).map_or(self.items_per_minute, rate),
        }
    }

    /// Returns the minimum time between the begins of two items.
    pub(crate) fn spacing(&self) -> Duration {
        self.items_per_minute.map_or(Duration::ZERO, |items| MINUTE / items.max(1))
    }
}

fn rate(items: i64) -> Option<u32> {
    (items > 0).then(|| u32::try_from(items).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILT: FlowControl = FlowControl { is_paused: false, concurrency: 3, items_per_minute: Some(30) };

    fn with(name: &str, value: i64) -> FlowControl {
        BUILT.with_settings(|asked| (asked == name).then_some(value))
    }

    #[test]
    fn settings_override_the_builder() {
        assert_eq!(BUILT.with_settings(|_| None), BUILT);
        assert!(with(PAUSED, 1).is_paused);
        assert!(!with(PAUSED, 0).is_paused);
        assert_eq!(with(CONCURRENCY, 7).concurrency, 7);
        assert_eq!(with(ITEMS_PER_MINUTE, 60).spacing(), Duration::from_secs(1));
    }

    #[test]
    fn invalid_settings_do_no_harm() {
        assert_eq!(with(CONCURRENCY, 0).concurrency, 3);
        assert_eq!(with(CONCURRENCY, i64::MIN).concurrency, 3);
        assert_eq!(with(CONCURRENCY, i64::MAX).concurrency, CONCURRENCY_MAX);
        assert_eq!(with(ITEMS_PER_MINUTE, -1).spacing(), Duration::ZERO);
        assert!(with(ITEMS_PER_MINUTE, i64::MAX).spacing() < Duration::from_millis(1));
    }
}
