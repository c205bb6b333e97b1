//! FlowControl control: how many items at once and how fast.

use std::time::Duration;

/// The most items that one runner works on at once.
pub(crate) const CONCURRENCY_MAX: usize = 1024;

const PAUSED: &str = "flow.paused";
const CONCURRENCY: &str = "flow.concurrency";
const ITEMS_PER_MINUTE: &str = "flow.itemsPerMinute";

const MINUTE: Duration = Duration::from_secs(60);

/// What holds at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FlowControl {
    /// No new items are taken.
    pub(crate) is_paused: bool,
    /// How many items are worked on at once; 1 or more.
    pub(crate) concurrency: usize,
    /// How many items may begin in a minute, evenly spread; `None`: any number.
    pub(crate) items_per_minute: Option<u32>,
}

impl FlowControl {
    /// What `setting` says of a process, and else the builder.
    pub(crate) fn with_settings(&self, setting: impl Fn(&str) -> Option<i64>) -> Self {
        self.with_settings_up_to(CONCURRENCY_MAX, setting)
    }

    /// [`with_settings`](FlowControl::with_settings), with at most `max` items at once.
    pub(crate) fn with_settings_up_to(&self, max: usize, setting: impl Fn(&str) -> Option<i64>) -> Self {
        let concurrency = setting(CONCURRENCY).and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
        Self {
            is_paused: setting(PAUSED).map_or(self.is_paused, |paused| paused != 0),
            concurrency: concurrency.unwrap_or(self.concurrency).min(max),
            items_per_minute: setting(ITEMS_PER_MINUTE).map_or(self.items_per_minute, rate),
        }
    }

    /// How long after the begin of an item the next may begin.
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
    fn senseless_settings_do_no_harm() {
        assert_eq!(with(CONCURRENCY, 0).concurrency, 3);
        assert_eq!(with(CONCURRENCY, i64::MIN).concurrency, 3);
        assert_eq!(with(CONCURRENCY, i64::MAX).concurrency, CONCURRENCY_MAX);
        assert_eq!(with(ITEMS_PER_MINUTE, -1).spacing(), Duration::ZERO);
        assert!(with(ITEMS_PER_MINUTE, i64::MAX).spacing() < Duration::from_millis(1));
    }
}
