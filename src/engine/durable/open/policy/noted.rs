//! The commits and openings that files besides the log record.

use super::facts::Facts;
use crate::engine::durable::wal::Survey;
use crate::record::{Epoch, Position};

/// Where another commit of the same history is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotedIn {
    Manifest,
    Synced,
    Snapshot,
    Index,
    Log,
}

/// Returns the commits recorded outside of the log, which it must have.
pub(super) fn noted_commits(facts: &Facts) -> Vec<(NotedIn, Position)> {
    let noted = facts.noted_index().map(|noted| (NotedIn::Manifest, noted));
    let synced = facts.synced.map(|synced| (NotedIn::Synced, synced));
    let snapshot = facts.snapshot().map(|newest| (NotedIn::Snapshot, newest.position));
    [noted, synced, snapshot].into_iter().flatten().collect()
}

/// Returns the first record of a commit with another epoch than in the log.
pub(crate) fn other_history(facts: &Facts, log: &Survey) -> Option<(NotedIn, u64)> {
    let contradicts = |(_, seen): &(NotedIn, Position)| {
        log.position(seen.seq).is_some_and(|found| seen.contradicts(found.epoch))
    };
    let contradicted = seen_commits(facts).find(contradicts);
    contradicted.map(|(by, seen)| (by, seen.seq)).or_else(|| newest_of_unknown_opening(facts, log))
}

/// Returns the commits recorded outside of the log, and that of an index of the store's own.
pub(super) fn seen_commits(facts: &Facts) -> impl Iterator<Item = (NotedIn, Position)> {
    noted_commits(facts).into_iter().chain(own_index(facts))
}

/// Returns the newest commit of the log if its opening is recorded nowhere, and where it should be.
pub(super) fn newest_of_unknown_opening(facts: &Facts, log: &Survey) -> Option<(NotedIn, u64)> {
    let run = log.runs.last()?;
    unknown_opening(facts, log.position(run.last)?.epoch).map(|by| (by, run.last))
}

/// Returns the index if its last commit is from a known opening of the store, so that it cannot be
/// a foreign index.
fn own_index(facts: &Facts) -> Option<(NotedIn, Position)> {
    let index = facts.index.clone().ok()?;
    let is_own = index.epoch.is_some_and(|epoch| facts.openings.contains(&epoch));
    is_own.then_some((NotedIn::Index, index))
}

/// Returns where the opening that wrote the newest commit of a log should be recorded, if it is
/// recorded nowhere: each opening is recorded before its first commit.
pub(super) fn unknown_opening(facts: &Facts, newest: Option<Epoch>) -> Option<NotedIn> {
    let newest = newest?;
    let seen = noted_commits(facts).into_iter().filter_map(|(_, seen)| seen.epoch);
    let is_known =
        facts.openings.is_empty() || facts.openings.iter().copied().chain(seen).any(|own| own == newest);
    let by = if facts.synced.is_some() { NotedIn::Synced } else { NotedIn::Manifest };
    (!is_known).then_some(by)
}
