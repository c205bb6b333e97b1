//! Merging an imported process into the local one.
//!
//! For work that both sides have, the later change wins: registration, new parameters or
//! unregistration. If both are equally late, the import wins, because an operator asked for it.

use jiff::Timestamp;

use super::{List, item, run, time};
use crate::proto::record::{Item, RunStatus};
use crate::proto::{Params, Status, Work};

/// The local state of a name.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Here<'a> {
    Active(&'a Item),
    /// On the cleanup or the dropped list, since this time.
    Left(Option<Timestamp>),
    Nowhere,
}

/// Returns the local work item after merging active work of the import; `None` if it does not
/// change.
///
/// `run` is the local run.
pub(crate) fn active(
    here: Here<'_>,
    theirs: &Work,
    run: Option<&RunStatus>,
    now: Timestamp,
    seq: u64,
) -> Option<Item> {
    // In a hand-written message a missing time means now.
    let modified = time::read(&theirs.modified).unwrap_or(now);
    match here {
        Here::Nowhere => Some(come(theirs, seq)),
        Here::Left(since) => since.is_none_or(|since| modified >= since).then(|| come(theirs, seq)),
        Here::Active(ours) => both(ours, theirs, modified, run, now, seq),
    }
}

fn come(theirs: &Work, seq: u64) -> Item {
    Item { work: Some(theirs.clone()), registered: seq, ..Item::default() }
}

/// Merges work that is active on both sides.
fn both(
    ours: &Item,
    theirs: &Work,
    modified: Timestamp,
    run: Option<&RunStatus>,
    now: Timestamp,
    seq: u64,
) -> Option<Item> {
    let work = ours.work.as_ref();
    let none = Params::default();
    let params = theirs.params.as_ref().unwrap_or(&none);
    let is_equal = work.and_then(|work| work.params.as_ref()).unwrap_or(&none) == params;
    let ours_modified = work.and_then(|work| time::read(&work.modified));
    let is_later = ours_modified.is_none_or(|ours| modified >= ours);
    // A local run counts what it does to the item and continues from its own status.
    let is_free = !run.is_some_and(run::is_unfinished);
    // An imported status from before the last local registration does not describe it.
    let ours_at = latest(work.and_then(|work| work.status.as_ref())).max(ours_modified);
    let is_ahead = is_free && latest(theirs.status.as_ref()) > ours_at;
    if is_ahead && (is_equal || is_later) {
        return Some(Item { work: Some(theirs.clone()), registered: ours.registered, ..Item::default() });
    }
    if is_equal || !is_later {
        return None;
    }
    // Never earlier than either side, so that repeating the merge changes nothing.
    let at = now.max(modified).max(ours_modified.unwrap_or(now));
    item::register(Some(ours), params, run, at, seq)
}

/// Returns the latest time in a status.
fn latest(status: Option<&Status>) -> Option<Timestamp> {
    let status = status?;
    [&status.start_time, &status.progress_time, &status.finish_time].into_iter().filter_map(time::read).max()
}

/// Returns the list to which work moves that is on `list` in the import since `since`; `None` if it
/// stays on its local list.
///
/// Locally active work is cleaned up here too.
pub(crate) fn left(here: Here<'_>, list: List, since: &prost_types::Timestamp) -> Option<List> {
    match here {
        Here::Nowhere => Some(list),
        Here::Left(_) => None,
        Here::Active(ours) => {
            let modified = ours.work.as_ref().and_then(|work| time::read(&work.modified));
            (time::from_wire(since) > modified).then_some(List::Cleanup)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::State;

    fn at(minute: u32) -> Timestamp {
        let hour: Timestamp = "2026-01-01T10:00:00Z".parse().unwrap();
        hour + std::time::Duration::from_secs(60 * u64::from(minute))
    }

    fn work(modified: Option<u32>, n: i64, touched: Option<u32>) -> Work {
        let progress_time = touched.map(|minute| time::to_wire(at(minute)));
        let status = Status { progress_time, state: State::Completed.into(), ..Status::default() };
        Work {
            modified: modified.map(|minute| time::to_wire(at(minute))),
            params: Some(Params::new().int("n", n)),
            status: Some(status),
        }
    }

    fn item(work: Work) -> Item {
        Item { work: Some(work), registered: 3, run: 2, ..Item::default() }
    }

    fn merged(ours: &Item, theirs: &Work, run: Option<&RunStatus>) -> Option<Work> {
        active(Here::Active(ours), theirs, run, at(59), 9).and_then(|item| item.work)
    }

    #[test]
    fn new_work_is_imported_unchanged() {
        let theirs = work(Some(1), 1, Some(2));
        let expected = Item { work: Some(theirs.clone()), registered: 9, ..Item::default() };
        assert_eq!(active(Here::Nowhere, &theirs, None, at(59), 9), Some(expected.clone()));
        assert_eq!(active(Here::Left(Some(at(1))), &theirs, None, at(59), 9), Some(expected));
        assert_eq!(active(Here::Left(Some(at(2))), &theirs, None, at(59), 9), None);
        assert!(active(Here::Left(Some(at(2))), &work(None, 1, None), None, at(59), 9).is_some());
    }

    #[test]
    fn the_later_parameters_win() {
        let ours = item(work(Some(10), 1, Some(20)));
        assert_eq!(merged(&ours, &work(Some(9), 2, None), None), None, "older ones do not");
        assert_eq!(merged(&ours, &work(Some(10), 1, None), None), None, "nothing is new");
        for modified in [Some(10), Some(11), None] {
            let merged = merged(&ours, &work(modified, 2, None), None).unwrap();
            assert_eq!(merged.params, Some(Params::new().int("n", 2)));
            assert_eq!(merged.status.unwrap().state(), State::New, "it is queued again");
        }
    }

    #[test]
    fn merging_again_changes_nothing_where_a_clock_is_ahead() {
        for (modified, touched) in [(70, 60), (70, 80), (58, 60), (10, 60)] {
            let theirs = work(Some(modified), 2, Some(touched));
            for ours in [70, 10] {
                let ours = item(work(Some(ours), 1, None));
                let once = active(Here::Active(&ours), &theirs, None, at(59), 9).unwrap_or(ours);
                let again = active(Here::Active(&once), &theirs, None, at(59), 9);
                assert_eq!(again, None, "{modified} {touched} {once:?}");
            }
        }
    }

    #[test]
    fn the_later_status_wins_unless_a_local_run_is_active() {
        let ours = item(work(Some(10), 1, Some(20)));
        let ahead = work(Some(10), 1, Some(30));
        assert_eq!(merged(&ours, &ahead, None), Some(ahead.clone()));
        let taken = active(Here::Active(&ours), &ahead, None, at(59), 9).unwrap();
        assert_eq!((taken.registered, taken.run), (ours.registered, 0), "it keeps its place");
        assert_eq!(merged(&ours, &work(Some(10), 1, Some(20)), None), None);
        let run = run::begin(2, &RunStatus::default(), false, at(5));
        assert_eq!(merged(&ours, &ahead, Some(&run)), None);
        // A status says nothing about other, older parameters.
        assert_eq!(merged(&ours, &work(Some(9), 2, Some(30)), None), None);
    }

    #[test]
    fn a_later_unregistration_wins() {
        let ours = item(work(Some(10), 1, None));
        let since = |minute| time::to_wire(at(minute));
        assert_eq!(left(Here::Active(&ours), List::Cleanup, &since(10)), None);
        assert_eq!(left(Here::Active(&ours), List::Cleanup, &since(11)), Some(List::Cleanup));
        assert_eq!(left(Here::Active(&ours), List::Dropped, &since(11)), Some(List::Cleanup));
        assert_eq!(left(Here::Left(None), List::Dropped, &since(11)), None);
        assert_eq!(left(Here::Nowhere, List::Dropped, &since(11)), Some(List::Dropped));
    }
}
