//! Tests the oracle: it must find each kind of fault in a history that contains one.

use super::events::{Event, Line};
use super::landed::{Kind, Put};
use super::oracle::{EventLogs, judge};
use super::program::{CLAIMED, COUNTERS, ITEMS};

/// A small history. At first it is correct: one program counts, and two own the process in turn.
struct Scenario {
    landed: Vec<Put>,
    event_logs: EventLogs,
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

fn event_log(events: Vec<(u64, Event)>) -> Vec<Line> {
    events.into_iter().map(|(at, event)| Line { at, event }).collect()
}

impl Scenario {
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
            (0, Event::Begin { counter: 0 }),
            (1, Event::CountTry { to: 1 }),
            (2, Event::Counted { to: 1, changed: true }),
            (3, Event::CountTry { to: 2 }),
            (10, Event::ClaimTry { instance: "first".to_owned() }),
            (11, Event::Won { token: 10 }),
            (12, Event::StepTry { token: 10, item: item() }),
            (13, Event::Stepped { token: 10, steps: 1 }),
            (14, Event::Sure { token: 10 }),
            (30, Event::Lost { token: 10 }),
        ];
        let mut q = vec![
            (15, Event::ClaimTry { instance: "second".to_owned() }),
            (16, Event::Won { token: 20 }),
            (17, Event::StepTry { token: 20, item: item() }),
            (18, Event::Stepped { token: 20, steps: 2 }),
            (19, Event::Sure { token: 20 }),
        ];
        for item in ITEMS {
            q.push((20, Event::DoneTry { token: 20, item: item.to_owned() }));
            q.push((21, Event::Done { token: 20, item: item.to_owned() }));
        }
        q.push((22, Event::FinishTry { token: 20 }));
        q.push((23, Event::Finished { token: 20, steps: 2, completed: true }));
        let event_logs = [("p".to_owned(), event_log(p)), ("q".to_owned(), event_log(q))].into();
        Self { landed, event_logs }
    }

    fn record(&mut self, name: &str, at: u64, event: Event) {
        self.event_logs.get_mut(name).unwrap().push(Line { at, event });
    }

    fn remove(&mut self, revision: u64) {
        self.landed.retain(|put| put.revision != revision);
    }

    fn add(&mut self, put: Put) {
        self.landed.push(put);
        self.landed.sort_by_key(|put| put.revision);
    }

    #[track_caller]
    fn assert_found(&self, words: &str) {
        let findings = judge(&self.event_logs, &self.landed);
        assert!(findings.iter().any(|finding| finding.contains(words)), "{words:?}: {findings:?}");
    }
}

#[test]
fn a_correct_history_has_no_findings() {
    assert_eq!(judge(&Scenario::new().event_logs, &Scenario::new().landed), Vec::<String>::new());
}

#[test]
fn a_count_that_landed_twice_or_not_at_all() {
    let mut scenario = Scenario::new();
    scenario.add(count(3, 2));
    scenario.assert_found("p: the counter had the values [1, 2, 2]");

    let mut scenario = Scenario::new();
    scenario.record("p", 4, Event::Counted { to: 2, changed: true });
    scenario.remove(2);
    scenario.assert_found("p: the counter is 1; 2 was accepted");
}

#[test]
fn a_count_that_landed_and_was_reported_as_refused() {
    let mut scenario = Scenario::new();
    scenario.record("p", 4, Event::CountFailed { to: 2, surely: true });
    scenario.record("p", 5, Event::Begin { counter: 2 });
    scenario.assert_found("the counter is 2; 1 was accepted, Some(2) was refused");
}

#[test]
fn a_claim_that_landed_and_was_reported_as_refused() {
    let mut scenario = Scenario::new();
    scenario.record("q", 40, Event::ClaimTry { instance: "third".to_owned() });
    scenario.record("q", 41, Event::ClaimRefused);
    scenario.add(owner(40, "third"));
    scenario.assert_found("q: a claim landed as Some(40)");
}

#[test]
fn two_owners_at_the_same_time() {
    let mut scenario = Scenario::new();
    scenario.record("p", 25, Event::Sure { token: 10 });
    scenario.assert_found("10 was certain at 25, and 20 at 19");
}

#[test]
fn a_write_of_a_former_owner() {
    let mut scenario = Scenario::new();
    scenario.add(status(23, 10, 2));
    scenario.assert_found("revision 23 is a write of 10, but the owner is Some(20)");
}

#[test]
fn a_lost_step_and_a_lost_end() {
    let mut scenario = Scenario::new();
    scenario.remove(11);
    scenario.assert_found("step 1 of 10 was accepted, but is lost");

    let mut scenario = Scenario::new();
    scenario.remove(22);
    scenario.assert_found("the end of 20 was accepted, but is lost");
}

#[test]
fn a_write_and_an_end_that_landed_twice() {
    let mut scenario = Scenario::new();
    let mut again = status(21, 20, 2);
    again.revision = 23;
    scenario.remove(22);
    scenario.add(again);
    scenario.assert_found("revisions 21 and 23 are the same write");

    let mut scenario = Scenario::new();
    scenario.add(totals(24, 2, 4));
    scenario.assert_found("revision 24: totals (Some(2), 4) after 2 runs and 2 steps");
}

#[test]
fn an_item_done_twice_and_a_skipped_item() {
    let mut scenario = Scenario::new();
    scenario.record("q", 21, Event::StepTry { token: 20, item: "a".to_owned() });
    scenario.record("q", 22, Event::Stepped { token: 20, steps: 2 });
    scenario.assert_found("20 did a again");

    let mut scenario = Scenario::new();
    let done_b = |event: &Event| matches!(event, Event::DoneTry { item, .. } if item == "b");
    scenario.event_logs.get_mut("q").unwrap().retain(|line| !done_b(&line.event));
    scenario.assert_found(r#"20 completed its run without ["b"]"#);
}
