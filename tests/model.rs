//! Compares arbitrary interleavings of register, unregister, settings, runs, crashes and reopening
//! with a simple model, on every engine.

#[path = "common/arbitrary.rs"]
#[allow(dead_code, unreachable_pub)]
mod arbitrary;
mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Backing, TestStore, check, eager};
use procstate::{Claim, Instance, List, Params, Process, ProcessHandle, Progress, Run, WorkItem};
use proptest::collection::{btree_map, btree_set};
use proptest::prelude::*;

/// The next step. There are few names and parameters, so that steps interact.
#[derive(Debug, Clone)]
enum Step {
    Register(u8, i64),
    Unregister(u8),
    RegisterAll(BTreeMap<u8, i64>),
    UnregisterAll(BTreeSet<u8>),
    Sync(BTreeMap<u8, i64>),
    SetParam(i64),
    Claim,
    NextWork,
    AddStat,
    Fail,
    Progress,
    FinishItem,
    DropWhenDone,
    FinishRun,
    HandBack,
    /// The program dies, and runs in progress are lost.
    Crash,
    Purge,
}

fn step() -> impl Strategy<Value = Step> {
    let name = || 0..4_u8;
    let items = || btree_map(name(), 0..3_i64, 0..4);
    prop_oneof![
        4 => (name(), 0..3_i64).prop_map(|(name, n)| Step::Register(name, n)),
        3 => name().prop_map(Step::Unregister),
        1 => items().prop_map(Step::RegisterAll),
        1 => btree_set(name(), 0..4).prop_map(Step::UnregisterAll),
        1 => items().prop_map(Step::Sync),
        1 => (0..3_i64).prop_map(Step::SetParam),
        3 => Just(Step::Claim),
        5 => Just(Step::NextWork),
        2 => Just(Step::AddStat),
        1 => Just(Step::Fail),
        2 => Just(Step::Progress),
        4 => Just(Step::FinishItem),
        1 => Just(Step::DropWhenDone),
        2 => Just(Step::FinishRun),
        1 => Just(Step::HandBack),
        1 => Just(Step::Crash),
        1 => Just(Step::Purge),
    ]
}

/// The list and parameters of every name.
#[derive(Debug, Default, PartialEq)]
struct Model {
    places: BTreeMap<String, (List, Option<i64>)>,
    param: Option<i64>,
    stats: f64,
}

impl Model {
    fn of(process: &Process) -> Self {
        let mut places = BTreeMap::new();
        for (name, work) in &process.active_work {
            let n = work.params.as_ref().and_then(|params| params.get_int("n"));
            places.insert(name.clone(), (List::Active, n));
        }
        for name in process.cleanup_work.keys() {
            assert_eq!(places.insert(name.clone(), (List::Cleanup, None)), None, "{name} is on two lists");
        }
        for name in process.dropped_work.keys() {
            assert_eq!(places.insert(name.clone(), (List::Dropped, None)), None, "{name} is on two lists");
        }
        let status = process.process_status.as_ref();
        let unfinished = status.filter(|status| status.finish_time.is_none());
        let stat = |stats: &BTreeMap<String, f64>| stats.get("work.s").copied().unwrap_or_default();
        Self {
            places,
            param: process.settings.as_ref().and_then(|settings| settings.get_int("n")),
            stats: stat(&process.aggregate_stats) + unfinished.map_or(0.0, |status| stat(&status.stats)),
        }
    }

    fn register(&mut self, name: &str, n: i64) {
        self.places.insert(name.to_owned(), (List::Active, Some(n)));
    }

    fn unregister(&mut self, name: &str) {
        if !matches!(self.places.get(name), Some((List::Cleanup | List::Dropped, _))) {
            self.places.insert(name.to_owned(), (List::Cleanup, None));
        }
    }

    fn list_of(&self, name: &str) -> Option<List> {
        self.places.get(name).map(|(list, _)| *list)
    }
}

/// The item in progress according to the model.
struct InHand {
    work: WorkItem,
    failed: bool,
    drops: bool,
    /// The parameters that the run has seen.
    seen: Option<i64>,
    /// It left its list, and possibly came back: the run must not write its end.
    is_gone: bool,
}

fn named(items: &BTreeMap<u8, i64>) -> Vec<(String, Params)> {
    items.iter().map(|(name, n)| (format!("w{name}"), Params::new().int("n", *n))).collect()
}

struct World {
    store: TestStore,
    model: Model,
    run: Option<Run>,
    item: Option<InHand>,
    /// Counted since the last write of the run.
    unwritten: f64,
}

impl World {
    fn new(backing: Backing) -> Self {
        let store = TestStore::new(backing);
        store.handle("p").set_params(Params::new().int("n", 0)).unwrap();
        let model = Model { param: Some(0), ..Model::default() };
        Self { store, model, run: None, item: None, unwritten: 0.0 }
    }

    fn process(&self) -> ProcessHandle {
        self.store.handle("p")
    }

    /// Every write of a run stores its counts, and reads what others changed of the item in
    /// progress: it is not dropped with parameters that no attempt used.
    fn wrote(&mut self) {
        self.model.stats += std::mem::take(&mut self.unwritten);
        let Some(item) = &mut self.item else { return };
        if let Some((List::Active, n)) = self.model.places.get(item.work.name()).filter(|_| !item.is_gone) {
            item.drops &= *n == item.seen;
            item.seen = *n;
        }
    }

    fn follow(&mut self, step: &Step) {
        self.store.advance(1);
        match step {
            Step::Register(name, n) => {
                self.will_register(*name, *n);
                self.process().register(&format!("w{name}"), Params::new().int("n", *n)).unwrap();
            }
            Step::Unregister(name) => {
                self.will_unregister(*name);
                self.process().unregister(&format!("w{name}")).unwrap();
            }
            Step::RegisterAll(items) => {
                items.iter().for_each(|(name, n)| self.will_register(*name, *n));
                self.process().register_all(named(items)).unwrap();
            }
            Step::UnregisterAll(names) => {
                names.iter().for_each(|name| self.will_unregister(*name));
                self.process().unregister_all(names.iter().map(|name| format!("w{name}"))).unwrap();
            }
            Step::Sync(items) => {
                items.iter().for_each(|(name, n)| self.will_register(*name, *n));
                let is_absent = |name: &u8| !items.contains_key(name);
                let is_active = |name: &u8| self.model.list_of(&format!("w{name}")) == Some(List::Active);
                let absent: Vec<u8> = (0..4).filter(is_absent).filter(is_active).collect();
                absent.into_iter().for_each(|name| self.will_unregister(name));
                self.process().sync_work(named(items)).unwrap();
            }
            Step::SetParam(n) => {
                self.process().set_params(Params::new().int("n", *n)).unwrap();
                self.model.param = Some(*n);
            }
            Step::Claim => self.claim(),
            Step::NextWork => self.next_work(),
            Step::AddStat => {
                if let Some(item) = &mut self.item {
                    item.work.add_stat("s", 1.0);
                    self.unwritten += 1.0;
                }
            }
            Step::Fail => {
                if let Some(item) = &mut self.item {
                    item.work.add_error("no");
                    item.failed = true;
                }
            }
            Step::Progress => {
                if let Some(run) = &self.run {
                    assert_ne!(run.progress().unwrap(), Progress::Conflict);
                    self.wrote();
                    self.sees_the_newest();
                }
            }
            Step::FinishItem => self.finish_item(),
            Step::DropWhenDone => {
                if let Some(item) = &mut self.item {
                    item.work.drop_when_done();
                    item.drops = true;
                }
            }
            Step::FinishRun => {
                self.finish_item();
                if let Some(run) = self.run.take() {
                    run.finish().unwrap();
                    self.wrote();
                }
            }
            Step::HandBack => {
                self.finish_item();
                if let Some(run) = self.run.take() {
                    run.hand_back().unwrap();
                    self.wrote();
                }
            }
            Step::Crash => self.crash(),
            Step::Purge => {
                self.process().purge(std::time::Duration::ZERO).unwrap();
                self.model.places.retain(|_, (list, _)| *list != List::Dropped);
            }
        }
    }

    fn will_register(&mut self, name: u8, n: i64) {
        let name = format!("w{name}");
        if self.model.list_of(&name) != Some(List::Active) {
            self.leaves_hand(&name);
        }
        self.model.register(&name, n);
    }

    fn will_unregister(&mut self, name: u8) {
        let name = format!("w{name}");
        if self.model.list_of(&name) == Some(List::Active) {
            self.leaves_hand(&name);
        }
        self.model.unregister(&name);
    }

    /// A concurrent change removes the name from the list on which the run works on it.
    fn leaves_hand(&mut self, name: &str) {
        if let Some(item) = self.item.as_mut().filter(|item| item.work.name() == name) {
            item.is_gone = true;
        }
    }

    /// After a write the run has seen the newest parameters of the item in progress.
    fn sees_the_newest(&self) {
        if let Some(item) = self.item.as_ref().filter(|item| !item.is_gone) {
            assert_eq!(item.work.params().get_int("n"), item.seen, "{} is out of date", item.work.name());
        }
    }

    fn claim(&mut self) {
        if self.run.is_some() {
            return;
        }
        match self.process().claim_with(&Instance::new(), &eager()).unwrap() {
            Claim::Won(run) => self.run = Some(run),
            other => panic!("no other instance holds the process: {other:?}"),
        }
    }

    fn next_work(&mut self) {
        self.finish_item();
        let Some(run) = &mut self.run else { return };
        let Some(work) = run.next_work().unwrap() else { return };
        let (list, seen) = self.model.places[work.name()];
        assert_eq!(list, work.list(), "{} is not on that list", work.name());
        assert_eq!(work.params().get_int("n"), seen, "{} has other parameters", work.name());
        self.wrote();
        self.item = Some(InHand { work, failed: false, drops: false, seen, is_gone: false });
    }

    fn finish_item(&mut self) {
        if self.item.is_none() {
            return;
        }
        self.wrote();
        let Some(InHand { work, failed, drops, is_gone, .. }) = self.item.take() else { return };
        let (name, list) = (work.name().to_owned(), work.list());
        work.finish().unwrap();
        if !failed && !is_gone && (drops || list == List::Cleanup) {
            self.model.places.insert(name, (List::Dropped, None));
        }
    }

    fn crash(&mut self) {
        if let Some(item) = self.item.take() {
            std::mem::forget(item.work);
        }
        if let Some(run) = self.run.take() {
            std::mem::forget(run);
        }
        self.unwritten = 0.0;
        // Memory does not survive a crash; its owner dies by timeout.
        self.store.advance(31);
        self.store.reopen();
    }
}

/// Found by review: the registration is newer than the end that would drop it.
#[test]
fn a_newer_registration_survives_the_drop() {
    use Step::{Claim, DropWhenDone, FinishRun, NextWork, Register};
    holds_for(Backing::Memory, &[Register(0, 1), Claim, NextWork, Register(0, 2), DropWhenDone, FinishRun]);
}

/// Found by review: an item without writes of the run was never read again.
#[test]
fn an_item_without_progress_gets_new_params() {
    use Step::{Claim, NextWork, Progress, Register};
    holds_for(Backing::Memory, &[Register(0, 1), Claim, NextWork, Register(0, 2), Progress]);
}

fn holds_for(backing: Backing, steps: &[Step]) {
    let mut world = World::new(backing);
    for step in steps {
        world.follow(step);
        let found = Model::of(&world.process().snapshot().unwrap());
        assert_eq!(found, world.model, "after {step:?}");
    }
    check(&world.store);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 5000, ..arbitrary::config() })]

    #[test]
    fn memory(steps in proptest::collection::vec(step(), 1..60)) {
        holds_for(Backing::Memory, &steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 1000, ..arbitrary::config() })]

    #[test]
    fn disk(steps in proptest::collection::vec(step(), 1..60)) {
        holds_for(Backing::Disk, &steps);
    }
}

#[cfg(feature = "etcd")]
proptest! {
    #![proptest_config(ProptestConfig { cases: 20, max_shrink_iters: 100, ..arbitrary::config() })]

    #[test]
    fn etcd(steps in proptest::collection::vec(step(), 1..40)) {
        if common::etcd::is_installed() {
            holds_for(Backing::Etcd, &steps);
        }
    }
}
