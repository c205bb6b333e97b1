//! An oracle that finds nothing is worth nothing: each fault that it is there for is found.

use super::landed::{Kind, Put};
use super::oracle::{Diaries, judge};
use super::program::{CLAIMED, COUNTERS, ITEMS};
use super::told::{Line, Told};

/// A small history in which all is well: one program counts, and two own the process in turn.
struct Scene {
    landed: Vec<Put>,
    diaries: Diaries,
}

fn put(revision: u64, kind: Kind, process: &str, item: &str, value: &[u8]) -> Put {
    let key = [&[0x01], process.as_bytes(), &[0x00, kind as u8], item.as_bytes()].concat();
    Put { revision, key, value: value.to_vec() }
}

fn owner(revision: u64, instance: &str) -> Put {
    put(revision, Kind::Owner, CLAIMED, "", instance.as_bytes())
}

fn stats(stats: &[(&str, u64)]) -> Vec<u8> {
    let entry = |(label, n): &(&str, u64)| {
        [&[0x0a, label.len() as u8], label.as_bytes(), &[0x11], &(*n as f64).to_le_bytes()].concat()
    };
    stats.iter().flat_map(entry).collect()
}

fn status(revision: u64, token: u64, steps: u64) -> Put {
    let value = [stats(&[("token", token), ("work.n", steps)]), revision.to_le_bytes().to_vec()].concat();
    put(revision, Kind::Status, CLAIMED, "", &value)
}

fn totals(revision: u64, runs: u64, steps: u64) -> Put {
    put(revision, Kind::Totals, CLAIMED, "", &stats(&[("runs", runs), ("work.n", steps)]))
}

fn count(revision: u64, n: u8) -> Put {
    put(revision, Kind::Active, COUNTERS, "p", &[0x0a, 1, b'n', 0x10, n])
}

fn diary(told: Vec<(u64, Told)>) -> Vec<Line> {
    told.into_iter().map(|(at, told)| Line { at, told }).collect()
}

impl Scene {
    fn new() -> Self {
        let landed = vec![
            count(1, 1),
            count(2, 2),
            owner(10, "first"),
            status(11, 10, 1),
            owner(20, "second"),
            status(21, 20, 2),
            status(22, 20, 2),
            totals(22, 1, 2),
        ];
        let item = || "a".to_owned();
        let p = vec![
            (0, Told::Begin { counter: 0 }),
            (1, Told::CountTry { to: 1 }),
            (2, Told::Counted { to: 1, changed: true }),
            (3, Told::CountTry { to: 2 }),
            (10, Told::ClaimTry { instance: "first".to_owned() }),
            (11, Told::Won { token: 10 }),
            (12, Told::StepTry { token: 10, item: item() }),
            (13, Told::Stepped { token: 10, steps: 1 }),
            (14, Told::Sure { token: 10 }),
            (30, Told::Lost { token: 10 }),
        ];
        let mut q = vec![
            (15, Told::ClaimTry { instance: "second".to_owned() }),
            (16, Told::Won { token: 20 }),
            (17, Told::StepTry { token: 20, item: item() }),
            (18, Told::Stepped { token: 20, steps: 2 }),
            (19, Told::Sure { token: 20 }),
        ];
        for item in ITEMS {
            q.push((20, Told::DoneTry { token: 20, item: item.to_owned() }));
            q.push((21, Told::Done { token: 20, item: item.to_owned() }));
        }
        q.push((22, Told::FinishTry { token: 20 }));
        q.push((23, Told::Finished { token: 20, steps: 2, completed: true }));
        let diaries = [("p".to_owned(), diary(p)), ("q".to_owned(), diary(q))].into();
        Self { landed, diaries }
    }

    fn tell(&mut self, name: &str, at: u64, told: Told) {
        self.diaries.get_mut(name).unwrap().push(Line { at, told });
    }

    fn forget(&mut self, revision: u64) {
        self.landed.retain(|put| put.revision != revision);
    }

    fn land(&mut self, put: Put) {
        self.landed.push(put);
        self.landed.sort_by_key(|put| put.revision);
    }

    #[track_caller]
    fn is_found(&self, words: &str) {
        let findings = judge(&self.diaries, &self.landed);
        assert!(findings.iter().any(|finding| finding.contains(words)), "{words:?}: {findings:?}");
    }
}

#[test]
fn nothing_is_found_where_all_is_well() {
    assert_eq!(judge(&Scene::new().diaries, &Scene::new().landed), Vec::<String>::new());
}

#[test]
fn a_count_that_landed_twice_or_not_at_all() {
    let mut scene = Scene::new();
    scene.land(count(3, 2));
    scene.is_found("p: the counter went [1, 2, 2]");

    let mut scene = Scene::new();
    scene.tell("p", 4, Told::Counted { to: 2, changed: true });
    scene.forget(2);
    scene.is_found("p: the counter is 1; 2 was accepted");
}

#[test]
fn a_count_that_landed_and_was_told_to_be_refused() {
    let mut scene = Scene::new();
    scene.tell("p", 4, Told::CountFailed { to: 2, surely: true });
    scene.tell("p", 5, Told::Begin { counter: 2 });
    scene.is_found("2 is there; 1 was accepted, Some(2) refused");
}

#[test]
fn a_claim_that_landed_and_was_told_to_be_refused() {
    let mut scene = Scene::new();
    scene.tell("q", 40, Told::ClaimTry { instance: "third".to_owned() });
    scene.tell("q", 41, Told::ClaimRefused);
    scene.land(owner(40, "third"));
    scene.is_found("q: a claim landed as Some(40)");
}

#[test]
fn two_who_own_at_a_time() {
    let mut scene = Scene::new();
    scene.tell("p", 25, Told::Sure { token: 10 });
    scene.is_found("10 was sure at 25, and 20 at 19");
}

#[test]
fn a_write_of_a_lost_owner() {
    let mut scene = Scene::new();
    scene.land(status(23, 10, 2));
    scene.is_found("revision 23 is a write of 10; the owner is Some(20)");
}

#[test]
fn a_step_and_an_end_that_are_lost() {
    let mut scene = Scene::new();
    scene.forget(11);
    scene.is_found("step 1 of 10 was accepted, and is lost");

    let mut scene = Scene::new();
    scene.forget(22);
    scene.is_found("the end of 20 was accepted, and is lost");
}

#[test]
fn a_write_and_an_end_that_landed_twice() {
    let mut scene = Scene::new();
    let mut again = status(21, 20, 2);
    again.revision = 23;
    scene.forget(22);
    scene.land(again);
    scene.is_found("revisions 21 and 23 are one write");

    let mut scene = Scene::new();
    scene.land(totals(24, 2, 4));
    scene.is_found("revision 24: totals (Some(2), 4) after 2 runs and 2 steps");
}

#[test]
fn an_item_done_again_and_one_left_out() {
    let mut scene = Scene::new();
    scene.tell("q", 21, Told::StepTry { token: 20, item: "a".to_owned() });
    scene.tell("q", 22, Told::Stepped { token: 20, steps: 2 });
    scene.is_found("20 did a again");

    let mut scene = Scene::new();
    let done_b = |told: &Told| matches!(told, Told::DoneTry { item, .. } if item == "b");
    scene.diaries.get_mut("q").unwrap().retain(|line| !done_b(&line.told));
    scene.is_found(r#"20 completed its run without ["b"]"#);
}
