//! Properties of the verdict on generated facts.

use proptest::prelude::*;

use super::facts::ManifestFacts;
use super::judge::{IndexSource, Refusal, Verdict, judge_restoring};
use super::{Facts, Integrity, Remains, SnapshotFacts, Source, judge, other_history, remains, source};
use crate::engine::durable::options::Recovery;
use crate::engine::durable::wal::{Behind, Run, Spot, Survey};
use crate::record::{Epoch, Position, Writers};

/// The length limit of generated histories.
const SEQ_MAX: u64 = 12;

/// A quick run by default; `PROPTEST_CASES` makes a long one.
fn config() -> ProptestConfig {
    let asked = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    ProptestConfig { cases: asked.cases.max(4000), ..asked }
}

fn position(seq: u64, epoch: u64) -> Position {
    Position::new(seq, Epoch::from_stored(epoch))
}

/// Mostly of one history, with known or unknown epochs.
fn positions() -> impl Strategy<Value = Position> {
    (0..=SEQ_MAX, prop_oneof![4 => Just(0), 8 => Just(1), 1 => Just(2)])
        .prop_map(|(seq, epoch)| position(seq, epoch))
}

/// A log that has some of the commits, with frames that record `synced`.
fn log(has: &[bool], synced: u64, epoch: u64, from: u64) -> Survey {
    let mut runs: Vec<Run> = Vec::new();
    let mut is_open = false;
    for (seq, has) in (1..).zip(has) {
        let gap = (!runs.is_empty() || seq > 1).then(Spot::default);
        match runs.last_mut() {
            Some(run) if is_open && *has => run.last = seq,
            _ if *has => runs.push(Run { after: seq - 1, last: seq, gap, ..Run::default() }),
            _ => {}
        }
        is_open = *has;
    }
    for run in &mut runs {
        // Marks that it has whole commits.
        run.end.offset = 1;
        run.epochs = vec![position(0, epoch)];
        run.behind = Behind { synced, ..Behind::default() };
    }
    let first = runs.first().map(|run| (Spot::default(), run.after + 1));
    Survey { from, runs, first, ..Survey::default() }
}

prop_compose! {
    fn logs()(
        mut has in prop::collection::vec(prop::bool::weighted(0.9), 0..=SEQ_MAX as usize),
        whole in prop::bool::weighted(0.4),
        synced in 0..=SEQ_MAX,
        epoch in prop_oneof![2 => Just(0_u64), 8 => Just(1), 1 => Just(2)],
    ) -> (Vec<bool>, u64, u64) {
        has.iter_mut().for_each(|has| *has |= whole);
        let synced = synced.min(has.len() as u64);
        (has, synced, epoch)
    }
}

fn soundness() -> impl Strategy<Value = Integrity> {
    prop_oneof![
        3 => Just(Integrity::Intact),
        1 => Just(Integrity::Unchecked),
        1 => Just(Integrity::Damaged("damaged".to_owned())),
    ]
}

fn broken<T: Clone + std::fmt::Debug>(
    sound: impl Strategy<Value = T>,
) -> impl Strategy<Value = Result<T, String>> {
    prop_oneof![4 => sound.prop_map(Ok), 1 => Just(Err("damaged".to_owned()))]
}

prop_compose! {
    fn facts()(
        index in broken(positions()),
        noted in prop_oneof![4 => positions().prop_map(Some), 1 => Just(None)],
        is_manifest_sound in prop::bool::weighted(0.9),
        synced in prop::option::of(positions()),
        snapshot in prop::option::of((positions(), soundness())),
        (has, frames_synced, epoch) in logs(),
        has_log in prop::bool::weighted(0.95),
        openings in prop_oneof![2 => Just(vec![]), 2 => Just(vec![1]), 1 => Just(vec![2]), 1 => Just(vec![1, 2])],
    ) -> Facts {
        let manifest =
            ManifestFacts { index: noted, must_have_log: noted.is_some(), writers: Writers::default() };
        let snapshots: Vec<_> = snapshot
            .into_iter()
            .map(|(position, soundness)| SnapshotFacts { position, soundness })
            .collect();
        let log = log(&has, frames_synced, epoch, 0);
        Facts {
            manifest: if is_manifest_sound { Ok(manifest) } else { Err("damaged".to_owned()) },
            synced,
            openings: openings.into_iter().filter_map(Epoch::from_stored).collect(),
            damaged_synced: None,
            snapshots,
            index,
            log: if has_log { Ok(log) } else { Err("not one log".to_owned()) },
        }
    }
}

fn opens(facts: &Facts, recovery: Recovery) -> Result<u64, Refusal> {
    judge(facts, recovery).opens.map(|opening| opening.last_seq())
}

/// Returns the newest commit that any fact says the store had.
fn vouched(facts: &Facts) -> u64 {
    let noted = facts.manifest.as_ref().ok().and_then(|noted| noted.index);
    let snapshot = facts.snapshots.first().map(|newest| newest.position);
    let seen = [noted, facts.synced, snapshot].into_iter().flatten().map(|seen| seen.seq).max();
    let frames = facts.log.iter().flat_map(|log| &log.runs).map(|run| run.behind.synced).max();
    seen.max(frames).unwrap_or(0)
}

fn has(log: &Survey, seq: u64) -> bool {
    log.runs.iter().any(|run| run.after < seq && seq <= run.last)
}

/// Returns the index's position, if it is at the commit `seq`.
fn position_of(facts: &Facts, seq: u64) -> Position {
    facts.index.clone().ok().filter(|index| index.seq == seq).unwrap_or_default()
}

fn judged(facts: &Facts) -> Verdict {
    judge(facts, Recovery::Refuse)
}

#[test]
fn an_intact_store_opens_with_its_index_and_without_a_finding() {
    let last = 5;
    let all = || 0..=last;
    let states = all().flat_map(|index| all().map(move |noted| (index, noted)));
    for (index, noted) in states.filter(|(index, noted)| noted <= index) {
        for (snapshot, synced) in all().flat_map(|snapshot| all().map(move |synced| (snapshot, synced))) {
            let (index, noted, newest) = (position(index, 1), position(noted, 1), position(snapshot, 1));
            let writers = Writers { own: index.epoch, found: None };
            let snapshots = vec![SnapshotFacts { position: newest, soundness: Integrity::Intact }];
            let facts = Facts {
                manifest: Ok(ManifestFacts { index: Some(noted), must_have_log: true, writers }),
                synced: Some(position(synced, 1)),
                openings: index.epoch.into_iter().collect(),
                damaged_synced: None,
                snapshots: snapshots.into_iter().filter(|_| snapshot > 0 && snapshot <= index.seq).collect(),
                index: Ok(index),
                log: Ok(log(&[true; 5], synced, 1, 0)),
            };
            let verdict = judged(&facts);
            let plan = verdict.opens.unwrap();
            assert_eq!((plan.index, plan.applied, plan.last_seq()), (IndexSource::Existing, index.seq, last));
            assert_eq!(judge_restoring(&facts).unwrap().map(|end| end.last_seq), Some(last));
            assert_eq!((plan.lost, plan.damaged_log, plan.damaged_snapshot), (None, None, None));
            assert_eq!((plan.damaged_synced, verdict.copies), (None, Ok(())));
            let damaged = Facts { damaged_synced: Some("damaged".to_owned()), ..facts };
            assert_eq!(judged(&damaged).opens.unwrap().damaged_synced, damaged.damaged_synced);
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn opening_has_every_recorded_commit(facts in facts()) {
        if let Ok(last) = opens(&facts, Recovery::Refuse) {
            prop_assert!(last >= vouched(&facts), "{last}");
        }
    }

    /// Whatever is used is intact, and of the same history as everything else known.
    #[test]
    fn nothing_damaged_or_of_another_history_is_used(facts in facts()) {
        let Ok(opening) = judged(&facts).opens else { return Ok(()) };
        let index = match opening.index {
            IndexSource::Existing => facts.index.clone().unwrap_or_default(),
            IndexSource::Rebuilt => {
                let newest = facts.snapshots.first();
                let is_damaged = newest.is_some_and(|newest| matches!(newest.soundness, Integrity::Damaged(_)));
                prop_assert!(!is_damaged);
                newest.map(|newest| newest.position).unwrap_or_default()
            }
        };
        prop_assert_eq!(index.seq, opening.applied);
        let log = facts.log.clone().unwrap();
        let noted = facts.manifest.clone().unwrap().index;
        let found = facts.index.clone().ok();
        // The index is the store's own, whether or not the log is replayed into it.
        let own = found.filter(|index| index.epoch.is_some_and(|epoch| facts.openings.contains(&epoch)));
        for seen in [Some(index), noted, facts.synced, own].into_iter().flatten() {
            let found = log.position(seen.seq).and_then(|found| found.epoch);
            prop_assert!(!seen.contradicts(found) || noted.is_none(), "{seen:?}");
        }
    }

    /// No commit after the index is missing.
    #[test]
    fn opening_has_consecutive_commits(facts in facts()) {
        let Ok(opening) = judged(&facts).opens else { return Ok(()) };
        let log = facts.log.as_ref().unwrap();
        for seq in opening.applied + 1..=opening.last_seq() {
            prop_assert!(has(log, seq), "{seq}");
        }
    }

    #[test]
    fn cutting_the_log_loses_nothing_if_unnecessary(facts in facts()) {
        let (Ok(refusing), cutting) = (judged(&facts).opens, judge(&facts, Recovery::CutLog).opens) else {
            return Ok(());
        };
        prop_assert_eq!(Ok(refusing), cutting);
    }

    /// Within one history, and while something records what the index had: losing the index never
    /// makes a store open that did not, nor to more commits; nor does a damaged snapshot, or one
    /// commit less in the log.
    #[test]
    fn more_damage_never_opens_to_more(
        facts in facts(),
        (has, synced, epoch) in logs(),
        lost in 0..SEQ_MAX as usize,
        which in 0..3,
    ) {
        let mut facts = Facts { log: Ok(log(&has, synced, epoch, 0)), ..facts };
        let (Ok(noted), Ok(index)) = (&mut facts.manifest, &facts.index) else { return Ok(()) };
        (noted.index, noted.must_have_log) = (noted.index.max_by_seq(*index), true);
        // The lost commit may be the one that reveals another history.
        if facts.log.as_ref().is_ok_and(|log| other_history(&facts, log).is_some()) {
            return Ok(());
        }
        let mut damaged = facts.clone();
        match which {
            0 => damaged.index = Err("damaged".to_owned()),
            1 => damaged.snapshots.iter_mut().for_each(|newest| {
                newest.soundness = Integrity::Damaged("damaged".to_owned());
            }),
            _ => {
                let mut has = has;
                has.get_mut(lost).into_iter().for_each(|has| *has = false);
                damaged.log = Ok(log(&has, synced, epoch, 0));
            }
        }
        if let Ok(last) = opens(&damaged, Recovery::Refuse) {
            let sound = opens(&facts, Recovery::Refuse);
            prop_assert!(sound.clone().is_ok_and(|sound| sound >= last), "{sound:?} and then {last}");
        }
    }

    /// A salvage that reports completeness has every recorded commit, and names all others as
    /// missing.
    #[test]
    fn salvage_is_complete_only_if_nothing_is_missing(facts in facts(), is_certain in any::<bool>()) {
        let Ok(log) = &facts.log else { return Ok(()) };
        let (found, seq) = source(&facts);
        prop_assert!(found != Source::Index || facts.index == Ok(position_of(&facts, seq)));
        if let Source::Snapshot(n) = found {
            prop_assert_eq!(&facts.snapshots[n].soundness, &Integrity::Intact);
        }
        if let (Source::Index, Ok(index)) = (found, facts.index.clone()) {
            let noted = facts.manifest.as_ref().ok().and_then(|noted| noted.index);
            let seen = [noted, facts.synced].into_iter().flatten().find(|seen| seen.seq == index.seq);
            prop_assert!(seen.is_none_or(|seen| !index.contradicts(seen.epoch)));
            let is_log_contradicted = other_history(&facts, log).is_some();
            let in_log = log.position(index.seq).and_then(|found| found.epoch);
            prop_assert!(is_log_contradicted || !index.contradicts(in_log), "{index:?} {in_log:?}");
        }
        let Remains { coverage, end, foreign, .. } = remains(&facts, log, seq, is_certain);
        let is_foreign = |seq: u64| foreign.iter().any(|part| part.after < seq && seq <= part.last);
        let is_known = |seq: u64| end.is_none_or(|end| seq <= end) && has(log, seq) && !is_foreign(seq);
        for seq in seq + 1..=vouched(&facts) {
            prop_assert!(is_known(seq) != coverage.is_missing(seq), "{seq}: {coverage:?}");
        }
        prop_assert!(!coverage.is_complete() || is_certain || log.first.is_none());
        prop_assert!(!coverage.is_complete() || foreign.is_empty());
    }

    #[test]
    fn stores_that_open_are_salvaged_completely(mut facts in facts()) {
        let is_unread = |found: &&mut SnapshotFacts| found.soundness == Integrity::Unchecked;
        facts.snapshots.iter_mut().filter(is_unread).for_each(|found| found.soundness = Integrity::Intact);
        // Opening recreates the index of a store that was never completed.
        prop_assume!(facts.noted_index().is_some() || facts.snapshot().is_some());
        let (Ok(_), Ok(log)) = (judged(&facts).opens, &facts.log) else { return Ok(()) };
        let (_, seq) = source(&facts);
        let Remains { coverage, .. } = remains(&facts, log, seq, true);
        prop_assert!(coverage.is_complete(), "{coverage:?}");
    }

    /// Opening reports damage that it could not do without the index.
    #[test]
    fn unusable_copies_of_the_index_are_reported(facts in facts()) {
        let verdict = judged(&facts);
        let (Ok(opening), Err(_)) = (&verdict.opens, &verdict.copies) else { return Ok(()) };
        let is_told = opening.damaged_log.is_some() || opening.damaged_snapshot.is_some();
        prop_assert!(is_told || opening.log.is_none(), "{verdict:?}");
    }
}

/// A log that a segment of a copy continues, and then the store again.
#[test]
fn a_log_of_two_histories_neither_opens_nor_is_complete() {
    let [found, own] = [1, 2].map(Epoch::from_stored);
    let manifest =
        ManifestFacts { index: Some(position(1, 1)), must_have_log: true, writers: Writers { own, found } };
    for (openings, is_one_history) in [(vec![(1, 1), (7, 2)], true), (vec![(1, 1), (3, 9), (7, 2)], false)] {
        let mut log = log(&[true; SEQ_MAX as usize], 0, 1, 0);
        log.runs[0].epochs = openings.into_iter().map(|(seq, epoch)| position(seq, epoch)).collect();
        let facts = Facts {
            manifest: Ok(manifest),
            synced: None,
            openings: [own, found].into_iter().flatten().collect(),
            damaged_synced: None,
            snapshots: Vec::new(),
            index: Err("gone".to_owned()),
            log: Ok(log.clone()),
        };
        let opens = judged(&facts).opens;
        assert_eq!(opens.is_ok(), is_one_history, "{opens:?}");
        let Remains { coverage, .. } = remains(&facts, &log, 0, true);
        assert_eq!(coverage.is_complete(), is_one_history, "{coverage:?}");
    }
}

trait MaxBySeq {
    fn max_by_seq(self, other: Position) -> Self;
}

impl MaxBySeq for Option<Position> {
    fn max_by_seq(self, other: Position) -> Self {
        self.filter(|own| own.seq >= other.seq).or(Some(other))
    }
}
