//! What a process that comes from elsewhere makes of work that is here.
//!
//! Of work that both have the later word counts: who registered it, changed its parameters
//! or unregistered it last. At the same time it is theirs, since somebody asked for it.

use jiff::Timestamp;

use super::{List, item, run, time};
use crate::proto::record::{Item, RunStatus};
use crate::proto::{Params, Status, Work};

/// Where a name stands here.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Here<'a> {
    Active(&'a Item),
    /// On the cleanup or the dropped list, since then.
    Left(Option<Timestamp>),
    Nowhere,
}

/// What becomes of work that is active there; `None`: it stays as it is here. `run` is the
/// one here.
pub(crate) fn active(
    here: Here<'_>,
    theirs: &Work,
    run: Option<&RunStatus>,
    now: Timestamp,
    seq: u64,
) -> Option<Item> {
    // Who writes a message by hand and gives no time means now.
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

/// Work that is active here and there.
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
    // What a run here does it counts, and it goes on from there.
    let is_free = !run.is_some_and(run::is_unfinished);
    // One from before the last registration here says nothing of that.
    let ours_at = latest(work.and_then(|work| work.status.as_ref())).max(ours_modified);
    let is_ahead = is_free && latest(theirs.status.as_ref()) > ours_at;
    if is_ahead && (is_equal || is_later) {
        return Some(Item { work: Some(theirs.clone()), registered: ours.registered, ..Item::default() });
    }
    if is_equal || !is_later {
        return None;
    }
    // Not back before either: what is merged again must find it as late as it was.
    let at = now.max(modified).max(ours_modified.unwrap_or(now));
    item::register(Some(ours), params, run, at, seq)
}

/// The last time that a status tells of.
fn latest(status: Option<&Status>) -> Option<Timestamp> {
    let status = status?;
    [&status.start_time, &status.progress_time, &status.finish_time].into_iter().filter_map(time::read).max()
}

/// The list on which work comes that is on `list` there since `since`; `None`: it stays
/// where it is here. What is active here is cleaned up here too.
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
    fn new_work_comes_as_it_is() {
        let theirs = work(Some(1), 1, Some(2));
        let expected = Item { work: Some(theirs.clone()), registered: 9, ..Item::default() };
        assert_eq!(active(Here::Nowhere, &theirs, None, at(59), 9), Some(expected.clone()));
        assert_eq!(active(Here::Left(Some(at(1))), &theirs, None, at(59), 9), Some(expected));
        assert_eq!(active(Here::Left(Some(at(2))), &theirs, None, at(59), 9), None);
        assert!(active(Here::Left(Some(at(2))), &work(None, 1, None), None, at(59), 9).is_some());
    }

    #[test]
    fn the_later_parameters_count() {
        let ours = item(work(Some(10), 1, Some(20)));
        assert_eq!(merged(&ours, &work(Some(9), 2, None), None), None, "older ones do not");
        assert_eq!(merged(&ours, &work(Some(10), 1, None), None), None, "nothing is new");
        for modified in [Some(10), Some(11), None] {
            let merged = merged(&ours, &work(modified, 2, None), None).unwrap();
            assert_eq!(merged.params, Some(Params::new().int("n", 2)));
            assert_eq!(merged.status.unwrap().state(), State::New, "it is to be done anew");
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
    fn the_later_status_counts_unless_a_run_is_on_here() {
        let ours = item(work(Some(10), 1, Some(20)));
        let ahead = work(Some(10), 1, Some(30));
        assert_eq!(merged(&ours, &ahead, None), Some(ahead.clone()));
        assert_eq!(merged(&ours, &work(Some(10), 1, Some(20)), None), None);
        let run = run::begin(2, &RunStatus::default(), false, at(5));
        assert_eq!(merged(&ours, &ahead, Some(&run)), None);
        // Of other, older parameters a status says nothing.
        assert_eq!(merged(&ours, &work(Some(9), 2, Some(30)), None), None);
    }

    #[test]
    fn unregistering_counts_if_it_is_later() {
        let ours = item(work(Some(10), 1, None));
        let since = |minute| time::to_wire(at(minute));
        assert_eq!(left(Here::Active(&ours), List::Cleanup, &since(10)), None);
        assert_eq!(left(Here::Active(&ours), List::Cleanup, &since(11)), Some(List::Cleanup));
        assert_eq!(left(Here::Active(&ours), List::Dropped, &since(11)), Some(List::Cleanup));
        assert_eq!(left(Here::Left(None), List::Dropped, &since(11)), None);
        assert_eq!(left(Here::Nowhere, List::Dropped, &since(11)), Some(List::Dropped));
    }
}
