//! Tells what a diverged copy of the store wrote from the store's own log. A copy's commits have the
//! same numbers, so one of its segments can continue the log, or fill a gap, with what the store never
//! had.

use std::ops::Range;

use rustc_hash::FxHashMap;

use super::facts::Facts;
use super::noted::{NotedIn, newest_of_unknown_opening, seen_commits, unknown_opening};
use crate::engine::durable::wal::{LogEnd, Run, SegmentDirectory, Slot, Spot, Survey};
use crate::record::{Epoch, Position, Writers};

/// Consecutive commits of one opening, as far as known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// The commit before its first.
    pub(super) after: u64,
    pub(super) last: u64,
    /// The commit after it, if the log has only its beginning.
    pub(super) begun: Option<u64>,
    /// The newest commit with a frame after it.
    pub(super) newest: Option<u64>,
    epoch: Option<Epoch>,
    /// The opening that wrote the commit before, as far as the part says.
    before: Option<Epoch>,
    /// The files with its commits.
    slots: Vec<Slot>,
}

/// The parts of a log.
pub(super) struct Parts {
    /// Those that may be of one history, in order.
    pub(super) own: Vec<Part>,
    /// The others.
    pub(super) foreign: Vec<Part>,
}

impl Parts {
    /// Splits a log.
    ///
    /// What other files contradict is foreign, and so is what an opening wrote that cannot have been
    /// there at that time. Of parts with the same commits, those of an opening that is recorded outside
    /// of the log are the store's own, or the first ones.
    pub(super) fn of(facts: &Facts, log: &Survey) -> Self {
        let mut own: Vec<Part> = Vec::new();
        let mut foreign = Vec::new();
        let mut newest = 0;
        let of_unknown_opening = newest_of_unknown_opening(facts, log).map(|(_, seq)| seq);
        for part in log.runs.iter().flat_map(parts_of) {
            if part.is_contradicted(facts) || of_unknown_opening == Some(part.last) {
                foreign.push(part);
                continue;
            }
            let is_repeated =
                |own: &[Part]| part.after < newest && own.iter().any(|other| part.shares_commits(other));
            if is_repeated(&own) && part.is_recorded(facts) {
                foreign.extend(
                    own.extract_if(.., |other| part.shares_commits(other) && !other.is_recorded(facts)),
                );
            }
            if is_repeated(&own) {
                foreign.push(part);
            } else {
                newest = newest.max(part.last);
                own.push(part);
            }
        }
        let order = Order::of(facts, &own);
        let is_foreign: Vec<bool> = (0..own.len()).map(|n| order.misplaced(n).is_some()).collect();
        let mut is_foreign = is_foreign.into_iter();
        foreign.extend(own.extract_if(.., |_| is_foreign.next().unwrap_or_default()));
        Self { own, foreign }
    }
}

/// Returns a commit after `known` of a log up to this end that another history wrote, or the last one,
/// and what shows it.
pub(super) fn foreign_commit(facts: &Facts, end: &LogEnd, known: u64) -> Option<(NotedIn, u64)> {
    let of_unknown_opening = unknown_opening(facts, end.last().epoch).map(|by| (by, end.last_seq));
    of_unknown_opening.or_else(|| misplaced_behind(facts, &end.epochs, end.last_seq, known))
}

fn misplaced_behind(facts: &Facts, epochs: &[Position], last: u64, known: u64) -> Option<(NotedIn, u64)> {
    let after = epochs.first().map_or(last, |first| first.seq.saturating_sub(1));
    let parts: Vec<Part> = parts_by(epochs, after, last).collect();
    let order = Order::of(facts, &parts);
    let mut needed = parts.iter().enumerate().filter(|(_, part)| part.last > known);
    needed.find_map(|(n, part)| Some((order.misplaced(n)?, part.last)))
}

/// Returns the parts of a run.
fn parts_of(run: &Run) -> Vec<Part> {
    let mut parts: Vec<Part> = parts_by(&run.epochs, run.after, run.last).collect();
    let mut from = run.after;
    for visited in &run.segments {
        let is_in_it = |part: &&mut Part| part.after < visited.last_seq && from <= part.last;
        parts.iter_mut().filter(is_in_it).for_each(|part| part.slots.push(visited.stored.slot));
        from = visited.last_seq;
    }
    if let Some(first) = parts.first_mut() {
        first.before = run.epoch_of(run.after);
    }
    if let Some(last) = parts.last_mut() {
        (last.begun, last.newest) = (run.begun, run.behind.newest);
    }
    parts
}

fn parts_by(epochs: &[Position], after: u64, last: u64) -> impl Iterator<Item = Part> {
    let starts = epochs.iter().map(|from| (from.seq.saturating_sub(1).max(after), from.epoch));
    let mut starts: Vec<(u64, Option<Epoch>)> = starts.collect();
    match starts.first_mut() {
        Some(first) => first.0 = after,
        None => starts.push((after, None)),
    }
    let ends: Vec<u64> = starts.iter().skip(1).map(|(start, _)| *start).chain([last]).collect();
    let is_single = starts.len() == 1;
    let parts = starts.into_iter().zip(ends).map(|((after, epoch), last)| Part {
        after,
        last,
        begun: None,
        newest: None,
        epoch,
        before: None,
        slots: Vec::new(),
    });
    parts.filter(move |part| is_single || part.after < part.last)
}

impl Part {
    /// Reports whether the commit `seq` at this place in the log is one of these.
    pub(crate) fn has(&self, seq: u64, at: &Spot, log: &SegmentDirectory) -> bool {
        let is_in = |slot: &Slot| log.path(*slot) == *at.path;
        (self.after < seq && seq <= self.begun.unwrap_or(self.last)) && self.slots.iter().any(is_in)
    }

    /// Reports whether another file says that a different opening wrote one of the commits, or the one
    /// before.
    fn is_contradicted(&self, facts: &Facts) -> bool {
        let is_in = |seq: u64| self.after < seq && seq <= self.last;
        seen_commits(facts).any(|(_, seen)| {
            (is_in(seen.seq) && seen.contradicts(self.epoch))
                || (seen.seq == self.after && seen.contradicts(self.before))
        })
    }

    fn shares_commits(&self, other: &Self) -> bool {
        self.after.max(other.after) < self.last.min(other.last)
    }

    /// Reports whether its opening is recorded outside of the log.
    fn is_recorded(&self, facts: &Facts) -> bool {
        self.epoch.is_some() && unknown_opening(facts, self.epoch).is_none()
    }
}

/// The order of the openings in a log.
struct Order<'a> {
    parts: &'a [Part],
    /// The last two openings, which follow one another.
    last_two: Writers,
    /// The indexes of the first and the last part of each opening.
    spans: FxHashMap<Epoch, (usize, usize)>,
    /// Those of the openings with other parts in between: few, though a log may have many openings.
    interrupted: Vec<(Epoch, Range<usize>)>,
}

impl<'a> Order<'a> {
    fn of(facts: &Facts, parts: &'a [Part]) -> Self {
        let mut spans = FxHashMap::default();
        for (n, part) in parts.iter().enumerate() {
            if let Some(epoch) = part.epoch {
                spans.entry(epoch).or_insert((n, n)).1 = n;
            }
        }
        let between = |(epoch, (first, last)): (&Epoch, &(usize, usize))| (*epoch, first + 1..*last);
        let interrupted = spans.iter().map(between).filter(|(_, between)| !between.is_empty()).collect();
        let last_two = facts.manifest.as_ref().map(|manifest| manifest.writers).unwrap_or_default();
        Self { parts, last_two, spans, interrupted }
    }

    /// Reports what shows that the n-th part cannot be there: an opening that it interrupts, or the
    /// last two, which it separates.
    fn misplaced(&self, n: usize) -> Option<NotedIn> {
        let epoch = self.parts.get(n)?.epoch?;
        if self.interrupted.iter().any(|(other, between)| *other != epoch && between.contains(&n)) {
            return Some(NotedIn::Log);
        }
        self.separates_last_two(n, epoch).then_some(NotedIn::Manifest)
    }

    fn separates_last_two(&self, n: usize, epoch: Epoch) -> bool {
        let Writers { own: Some(own), found: Some(found) } = self.last_two else { return false };
        let Some((first_own, _)) = self.spans.get(&own) else { return false };
        let is_after_found = self.spans.get(&found).is_some_and(|(_, last)| *last < n);
        let [last, before_own] =
            [self.parts.get(n).map(|part| part.last), self.parts.get(*first_own).map(|first| first.after)];
        epoch != found && n < *first_own && (is_after_found || last == before_own)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::disk::sim::SimDisk;
    use crate::engine::durable::open::policy::facts::ManifestFacts;
    use crate::engine::durable::wal::{StoredSegment, Visited};
    use crate::folder::Synced;

    /// A store whose last two openings were 1 and 2.
    fn facts() -> Facts {
        let [found, own] = [1, 2].map(Epoch::from_stored);
        let manifest = ManifestFacts { index: None, must_have_log: true, writers: Writers { own, found } };
        let openings = [own, found].into_iter().flatten().collect();
        Facts { manifest: Ok(manifest), openings, ..Facts::noted(Err(String::new()), &Synced::default()) }
    }

    fn epochs(from: &[(u64, u64)]) -> Vec<Position> {
        from.iter().map(|(seq, epoch)| Position::new(*seq, Epoch::from_stored(*epoch))).collect()
    }

    fn run((after, last, epoch): (u64, u64, u64)) -> Run {
        Run { after, last, epochs: epochs(&[(after + 1, epoch)]), ..Run::default() }
    }

    /// The after, last and epoch of each part, and whether it is the store's.
    type Case<'a> = &'a [((u64, u64, u64), bool)];

    #[test]
    fn what_a_copy_wrote_fills_no_gap() {
        let cases: [Case<'_>; 14] = [
            &[((0, 5, 1), true), ((7, 9, 1), true)],
            &[((0, 5, 1), true), ((7, 9, 2), true), ((11, 12, 2), true)],
            // Of an opening of which nothing else is left.
            &[((0, 5, 7), true), ((7, 9, 1), true)],
            // Its commits are there already.
            &[((0, 5, 1), true), ((3, 8, 9), false), ((8, 9, 2), true)],
            &[((0, 5, 0), true), ((3, 8, 0), false), ((8, 9, 0), true)],
            // A recorded opening wrote the later ones.
            &[((0, 5, 9), false), ((3, 8, 1), true)],
            &[((0, 5, 7), true), ((6, 9, 9), false), ((7, 12, 1), true)],
            // Within an opening.
            &[((0, 5, 1), true), ((5, 8, 9), false), ((8, 9, 1), true)],
            // Between the last two openings.
            &[((0, 5, 1), true), ((6, 8, 9), false), ((10, 12, 2), true)],
            &[((5, 8, 9), false), ((8, 9, 2), true)],
            // As far as is known.
            &[((0, 5, 1), true), ((5, 8, 0), true), ((8, 9, 2), true)],
            &[((5, 8, 9), true), ((9, 12, 2), true)],
            // The opening after an interrupted one.
            &[((0, 5, 1), true), ((5, 8, 9), false), ((8, 9, 1), true), ((9, 12, 2), true)],
            // Late, between two others.
            &[((0, 5, 1), true), ((7, 9, 1), true), ((5, 7, 1), true)],
        ];
        for (n, case) in cases.iter().enumerate() {
            let log = Survey { runs: case.iter().map(|(part, _)| run(*part)).collect(), ..Survey::default() };
            let own: Vec<u64> = Parts::of(&facts(), &log).own.iter().map(|part| part.after).collect();
            let expected: Vec<u64> =
                case.iter().filter(|(_, is_own)| *is_own).map(|((after, ..), _)| *after).collect();
            assert_eq!(own, expected, "{n}");
        }
    }

    #[test]
    fn another_record_of_a_commit_or_the_one_before_contradicts_a_part() {
        let is_own = |seen: (u64, u64), from: &[(u64, u64)]| {
            let synced = Some(Position::new(seen.0, Epoch::from_stored(seen.1)));
            let run = Run { after: 5, last: 8, epochs: epochs(from), ..Run::default() };
            let log = Survey { runs: vec![run], ..Survey::default() };
            !Parts::of(&Facts { synced, ..facts() }, &log).own.is_empty()
        };
        let own = [5, 6, 8, 9].map(|seq| is_own((seq, 1), &[(6, 2)]));
        assert_eq!(own, [true, false, false, true]);
        assert!(is_own((5, 1), &[(5, 1), (6, 2)]));
        assert!(!is_own((5, 1), &[(5, 9), (6, 2)]));
    }

    #[test]
    fn a_part_is_in_each_file_with_one_of_its_commits() {
        let visited = |slot: Slot, last_seq| {
            let stored = StoredSegment { slot, bytes: 0, is_headless: false, epoch: None, is_fresh: false };
            Visited { segment: slot.into(), stored, last_seq, end: 0 }
        };
        let slots = |segments: Vec<Visited>| -> Vec<Vec<Slot>> {
            let run = Run { last: 9, epochs: epochs(&[(1, 1), (4, 2)]), segments, ..Run::default() };
            parts_of(&run).into_iter().map(|part| part.slots).collect()
        };
        assert_eq!(slots(vec![visited(0, 2), visited(1, 5), visited(2, 9)]), [vec![0, 1], vec![1, 2]]);
        // Commit 3 may end in the second file.
        assert_eq!(slots(vec![visited(0, 3), visited(1, 9)]), [vec![0, 1], vec![1]]);
    }

    #[test]
    fn a_part_without_commits_is_left_out_unless_it_is_the_only_one() {
        let parts = |run: &Run| -> Vec<(u64, u64)> {
            parts_of(run).iter().map(|part| (part.after, part.last)).collect()
        };
        assert_eq!(parts(&run((5, 5, 1))), [(5, 5)]);
        assert_eq!(parts(&Run { last: 3, epochs: epochs(&[(1, 1), (4, 2)]), ..Run::default() }), [(0, 3)]);
    }

    #[test]
    fn a_part_has_its_commits_where_they_are() {
        let disk = Arc::new(SimDisk::new());
        let log = SegmentDirectory::load(disk, Path::new("wal"), [0; 16]).unwrap();
        let stored = StoredSegment { slot: 1, bytes: 0, is_headless: false, epoch: None, is_fresh: false };
        let visited = Visited { segment: 1, stored, last_seq: 6, end: 0 };
        let in_file = |slot| Spot { path: Arc::new(log.path(slot)), offset: 0 };
        let run = Run { segments: vec![visited], ..run((3, 6, 1)) };
        let has = |run: &Run, slot| -> Vec<u64> {
            let part = parts_of(run).remove(0);
            (0..10).filter(|seq| part.has(*seq, &in_file(slot), &log)).collect()
        };
        assert_eq!(has(&run, 1), [4, 5, 6]);
        assert_eq!(has(&run, 2), [0; 0]);
        // The beginning of a commit is there, too.
        assert_eq!(has(&Run { begun: Some(7), ..run }, 1), [4, 5, 6, 7]);
    }

    /// The first commit and the epoch of each opening, and the commit that is not of the store's
    /// history.
    type Interruption<'a> = (&'a [(u64, u64)], Option<(NotedIn, u64)>);

    #[test]
    fn an_opening_that_cannot_have_been_there_is_found() {
        let cases: [Interruption<'_>; 7] = [
            (&[], None),
            (&[(3, 7), (5, 1), (8, 2)], None),
            (&[(3, 7), (5, 0), (8, 2)], None),
            (&[(1, 1), (3, 9), (7, 2)], Some((NotedIn::Manifest, 6))),
            (&[(3, 9), (7, 2)], Some((NotedIn::Manifest, 6))),
            (&[(1, 2), (3, 9), (7, 2)], Some((NotedIn::Log, 6))),
            (&[(1, 7), (3, 9), (5, 7)], Some((NotedIn::Log, 4))),
        ];
        for (openings, expected) in cases {
            let epochs = epochs(openings);
            assert_eq!(misplaced_behind(&facts(), &epochs, 9, 0), expected, "{openings:?}");
            let known = expected.map_or(9, |(_, seq)| seq);
            assert_eq!(misplaced_behind(&facts(), &epochs, 9, known), None, "{openings:?}");
        }
    }
}
