//! Statistics: counters by label, of an item, a run, and over all runs.

use std::collections::BTreeMap;

pub(crate) type Stats = BTreeMap<String, f64>;

pub(crate) const WORK_ITEMS: &str = "workItems";
pub(crate) const WORK_ITEMS_CLEANED: &str = "workItemsCleaned";
pub(crate) const WORK_ITEMS_DIRTY: &str = "workItemsDirty";
pub(crate) const WORK_ITEMS_ABORTED: &str = "workItemsAborted";
pub(crate) const ERRORS: &str = "errors";
pub(crate) const DURATION: &str = "duration";
pub(crate) const RUNS: &str = "runs";

/// Adds `value` to the counter `label`.
pub(crate) fn add(stats: &mut Stats, label: &str, value: f64) {
    match stats.get_mut(label) {
        Some(sum) => *sum += value,
        None => {
            stats.insert(label.to_owned(), value);
        }
    }
}

/// The label under which a process counts what its items count as `label`.
pub(crate) fn of_work(label: &str) -> String {
    format!("work.{label}")
}

/// Adds every counter of `stats` to `totals`.
pub(crate) fn add_all(totals: &mut Stats, stats: &Stats) {
    for (label, value) in stats {
        add(totals, label, *value);
    }
}

/// The counter `label`, 0 if it was never added to.
pub(crate) fn get(stats: &Stats, label: &str) -> f64 {
    stats.get(label).copied().unwrap_or_default()
}
