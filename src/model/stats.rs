//! Statistics: labelled counters of an item, a run, and all runs.

use std::collections::BTreeMap;

use super::limits;
use crate::proto::State;

pub(crate) type Stats = BTreeMap<String, f64>;

pub(crate) const WORK_ITEMS: &str = "workItems";
pub(crate) const WORK_ITEMS_CLEANED: &str = "workItemsCleaned";
pub(crate) const WORK_ITEMS_DIRTY: &str = "workItemsDirty";
pub(crate) const WORK_ITEMS_ABORTED: &str = "workItemsAborted";
pub(crate) const ERRORS: &str = "errors";
pub(crate) const DURATION: &str = "duration";
pub(crate) const RUNS: &str = "runs";

/// The maximum size of a counter in a record, in bytes, without its label.
pub(crate) const COUNTER_BYTES: usize = 20;

/// Returns why a worker cannot add `value` to the counter `label` of `stats`, if so.
pub(crate) fn refusal(stats: &Stats, label: &str, value: f64) -> Option<String> {
    if label.len() > limits::LABEL_BYTES_MAX {
        let (length, limit) = (label.len(), limits::LABEL_BYTES_MAX);
        return Some(format!("its label has {length} bytes, and the limit is {limit}"));
    }
    if !value.is_finite() {
        return Some(format!("{value} is not a finite number"));
    }
    no_room(stats, label)
}

/// Returns why `stats` has no room for another label, if so.
pub(crate) fn no_room(stats: &Stats, label: &str) -> Option<String> {
    let is_full = stats.len() >= limits::LABELS_MAX && !stats.contains_key(label);
    is_full.then(|| format!("there are {} other labels, which is the limit", limits::LABELS_MAX))
}

/// Reports whether the store itself counts under `label` in a run.
pub(crate) fn is_reserved(label: &str) -> bool {
    is_own(label) || label.starts_with("work.")
}

fn is_own(label: &str) -> bool {
    const OWN: [&str; 7] =
        [WORK_ITEMS, WORK_ITEMS_CLEANED, WORK_ITEMS_DIRTY, WORK_ITEMS_ABORTED, ERRORS, DURATION, RUNS];
    OWN.contains(&label) || label.starts_with("state.")
}

/// Adds `value` to the counter `label`.
pub(crate) fn add(stats: &mut Stats, label: &str, value: f64) {
    match stats.get_mut(label) {
        Some(sum) => *sum += value,
        None => {
            stats.insert(label.to_owned(), value);
        }
    }
}

/// Subtracts `value` from the counter `label`, down to zero at most.
pub(crate) fn take_back(stats: &mut Stats, label: &str, value: f64) {
    if let Some(sum) = stats.get_mut(label) {
        *sum = (*sum - value).max(0.0);
    }
}

/// Returns the process label for the item label `label`.
pub(crate) fn of_work(label: &str) -> String {
    // Faster than `format!`; every statistic that a worker adds calls this.
    ["work.", label].concat()
}

/// Adds every counter of a run to the totals of its process; returns how many were left out.
///
/// Full totals accept no new labels.
pub(crate) fn add_to_totals(totals: &mut Stats, stats: &Stats) -> usize {
    let size = |label: &str| label.len() + COUNTER_BYTES;
    let mut taken: usize = totals.keys().map(|label| size(label)).sum();
    let mut left_out = 0;
    for (label, value) in stats {
        if !totals.contains_key(label) {
            let max = if is_own(label) { limits::RECORD_BYTES_MAX } else { limits::TOTALS_BYTES_MAX };
            if taken + size(label) > max {
                left_out += 1;
                continue;
            }
            taken += size(label);
        }
        add(totals, label, *value);
    }
    left_out
}

/// Returns the counter `label`, or 0 if it does not exist.
pub(crate) fn get(stats: &Stats, label: &str) -> f64 {
    stats.get(label).copied().unwrap_or_default()
}

/// Counts an item that ended in `state`.
pub(crate) fn count_end(stats: &mut Stats, state: State) {
    counters(state).for_each(|label| add(stats, label, 1.0));
}

/// Subtracts `times` items that ended in `state`.
pub(crate) fn take_back_ends(stats: &mut Stats, state: State, times: u64) {
    #[allow(clippy::cast_precision_loss, reason = "a count of items is far below 2^52")]
    counters(state).for_each(|label| take_back(stats, label, times as f64));
}

/// The run's counters for an item that ends in `state`.
fn counters(state: State) -> impl Iterator<Item = &'static str> {
    let failed = match state {
        State::Incomplete => Some(WORK_ITEMS_DIRTY),
        State::Aborted => Some(WORK_ITEMS_ABORTED),
        State::Unspecified | State::New | State::Active | State::Completed => None,
    };
    [WORK_ITEMS].into_iter().chain(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many(labels: usize) -> Stats {
        (0..labels).map(|n| (format!("work.{n:0251}"), 1.0)).collect()
    }

    #[test]
    fn invalid_counters_are_explained() {
        let none = Stats::new();
        assert_eq!(refusal(&none, &"x".repeat(256), -1.5), None);
        let why = refusal(&none, &"ü".repeat(129), 1.0);
        assert_eq!(why.as_deref(), Some("its label has 258 bytes, and the limit is 256"));
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(refusal(&none, "n", value), Some(format!("{value} is not a finite number")));
        }
        let mut full = many(limits::LABELS_MAX - 1);
        assert_eq!(refusal(&full, "n", 1.0), None);
        add(&mut full, "n", 1.0);
        assert_eq!(refusal(&full, "n", 1.0), None);
        let why = refusal(&full, "m", 1.0);
        assert_eq!(why.as_deref(), Some("there are 1000 other labels, which is the limit"));
    }

    #[test]
    fn labels_of_the_store_are_reserved() {
        for label in ["workItems", "duration", "runs", "errors", "state.completed", "work.n"] {
            assert!(is_reserved(label), "{label}");
        }
        assert!(!is_reserved("works") && !is_reserved("run"));
    }

    #[test]
    fn counters_of_items_count_under_work_in_the_run() {
        assert_eq!(of_work("n"), "work.n");
    }

    #[test]
    fn totals_are_full_at_exactly_the_limit() {
        let room = |bytes: usize| {
            let label = "x".repeat(limits::TOTALS_BYTES_MAX - bytes - COUNTER_BYTES);
            Stats::from([(label, 1.0)])
        };
        let label = "work.n";
        let run = Stats::from([(label.to_owned(), 1.0)]);
        let needed = label.len() + COUNTER_BYTES;
        assert_eq!(add_to_totals(&mut room(needed), &run), 0);
        assert_eq!(add_to_totals(&mut room(needed - 1), &run), 1);
    }

    #[test]
    fn full_totals_keep_counting_known_and_reserved_labels() {
        let (mut totals, run) = (Stats::new(), many(5000));
        let left_out = add_to_totals(&mut totals, &run);
        assert!((1000..2000).contains(&left_out), "{left_out}");
        assert_eq!((totals.len(), left_out), (5000 - left_out, add_to_totals(&mut totals, &run)));
        assert_eq!(get(&totals, &format!("work.{:0251}", 0)), 2.0);
        let own = Stats::from([("runs".to_owned(), 1.0), ("state.completed".to_owned(), 1.0)]);
        assert_eq!(add_to_totals(&mut totals, &own), 0);
        assert_eq!(get(&totals, "runs"), 1.0);
    }
}
