//! The report as tables.

use std::fmt::Write;

use super::numbers::{bytes, count, digits, time};
use super::plots::Plot;
use crate::goals::{Bound, Goal};
use crate::measure::{Outcome, Work};
use crate::peers::Peer;
use crate::plan::Part;
use crate::results::{CaseResults, Entry, Results};
use crate::statistics::Spread;

pub fn write(results: &Results, goals: &[Goal], plots: &[Plot]) -> String {
    let mut text = String::from("# procstate beside other stores\n\n");
    let _ = write!(
        text,
        "{}. `{}`, {:.0} minutes; load of the machine before it: {:.2}.\n\n",
        results.machine, results.command, results.minutes, results.load_before
    );
    text += "Medians of rounds in which the peers took turns. \"× procstate\" is how many times as long as \
             procstate's a peer's call takes, in the same round, with the least and the most of all \
             rounds: below 1 the peer is faster. Those in *italics* are no peers in the class; the end \
             of the page says why.\n\n";
    text += &self::goals(goals);
    text += &section("Calls", results.part(Part::Calls).map(calls));
    text += &section("Cost by number of items", [sizes(results)]);
    text += &section("Many updates of few items", results.part(Part::Endurance).map(endurance));
    text += &section("Plots", plots.iter().map(|plot| format!("![{}]({})\n\n", plot.title, plot.file)));
    text += &section("No peers", [remarks(results)]);
    text += &section("Not measured", results.failures.iter().map(|failure| format!("- {failure}\n")));
    text
}

/// Returns a heading and its parts; nothing if there are none.
fn section(title: &str, parts: impl IntoIterator<Item = String>) -> String {
    let text: String = parts.into_iter().collect();
    if text.is_empty() { text } else { format!("## {title}\n\n{}\n\n", text.trim_end()) }
}

pub fn goals(goals: &[Goal]) -> String {
    let row = |goal: &Goal| {
        let bound = match goal.bound {
            Bound::AtLeast => "≥",
            Bound::AtMost => "≤",
        };
        vec![
            goal.what.clone(),
            goal.with.clone(),
            format!("{bound} {}", goal.limit),
            spread(goal.measured),
            if goal.is_reached() { "reached" } else { "**missed**" }.to_owned(),
        ]
    };
    let rows: Vec<_> = goals.iter().map(row).collect();
    let table = table(&["goal", "beside", "aim", "measured", ""], &rows);
    section("Goals", (!rows.is_empty()).then_some(table))
}

fn calls(results: &CaseResults) -> String {
    let row = |entry: &&Entry| {
        let outcome = entry.median().cloned().unwrap_or_default();
        let latency = outcome.latency.unwrap_or_default();
        vec![
            name(entry.peer),
            time(entry.micros()),
            ratio(results, entry.peer),
            time(latency.p50),
            time(latency.p99),
            time(latency.p999),
            time(latency.max),
            bytes(outcome.written),
        ]
    };
    let rows: Vec<_> = results.by_time().iter().map(row).collect();
    let head = ["", "a call", "× procstate", "50 % within", "99 %", "99.9 %", "longest", "written a call"];
    format!("### {}\n\n{}\n", results.case.title(), table(&head, &rows))
}

/// Returns a table for each quantity that may grow with the number of items.
fn sizes(results: &Results) -> String {
    type Cell = fn(&Entry, &Outcome) -> String;
    let tables: [(&str, Work, Cell); 5] = [
        ("An update of 100 of the items, one thread", Work::Update, |entry, _| time(entry.micros())),
        ("Opening after a kill, until an item is read", Work::Open, |entry, _| time(entry.micros())),
        ("Loading, for an item", Work::Populate, |entry, _| time(entry.micros())),
        ("On disk after loading and closing, for an item", Work::Populate, |_, outcome| {
            bytes(outcome.disk as f64 / outcome.calls as f64)
        }),
        ("Memory of the program at the end of the updates", Work::Update, |_, outcome| {
            bytes(outcome.memory as f64)
        }),
    ];
    tables.map(|(title, work, cell)| size_table(results, title, work, &cell)).concat()
}

fn size_table(
    results: &Results,
    title: &str,
    work: Work,
    cell: &dyn Fn(&Entry, &Outcome) -> String,
) -> String {
    let cases: Vec<_> = results.part(Part::Sizes).filter(|results| results.case.work == work).collect();
    let Some(first) = cases.first() else { return String::new() };
    let in_case = |case: &CaseResults, peer| {
        let entry = case.entry(peer)?;
        Some(cell(entry, entry.median()?))
    };
    let row = |entry: &Entry| {
        let cells = cases.iter().map(|case| in_case(case, entry.peer).unwrap_or_default());
        [name(entry.peer)].into_iter().chain(cells).collect::<Vec<_>>()
    };
    let rows: Vec<_> = first.entries.iter().map(row).collect();
    let head: Vec<_> = cases.iter().map(|case| format!("{} items", count(case.case.items as u64))).collect();
    let head: Vec<&str> = [""].into_iter().chain(head.iter().map(String::as_str)).collect();
    format!("### {title}\n\n{}\n", table(&head, &rows))
}

fn endurance(results: &CaseResults) -> String {
    let mut entries: Vec<_> =
        results.entries.iter().filter_map(|entry| Some((entry, entry.median()?))).collect();
    entries.sort_by_key(|(_, outcome)| outcome.disk);
    let row = |(entry, outcome): &(&Entry, &Outcome)| {
        let most = |of: fn(&crate::measure::Sample) -> u64| outcome.samples.iter().map(of).max().unwrap_or(0);
        vec![
            name(entry.peer),
            count(outcome.calls),
            time(outcome.micros()),
            bytes(outcome.written),
            bytes(most(|sample| sample.disk) as f64),
            bytes(outcome.disk as f64),
            bytes(most(|sample| sample.memory) as f64),
        ]
    };
    let rows: Vec<_> = entries.iter().map(row).collect();
    let head =
        ["", "updates", "an update", "written each", "disk, most", "disk, once closed", "memory, most"];
    format!("Each in its weakest class; peers with fewer updates ran out of time.\n\n{}", table(&head, &rows))
}

fn remarks(results: &Results) -> String {
    let mut peers: Vec<Peer> =
        results.cases.iter().flat_map(|case| case.entries.iter().map(|entry| entry.peer)).collect();
    peers.sort();
    peers.dedup();
    let remarks = peers.into_iter().filter_map(|peer| Some((peer, peer.remark()?)));
    remarks.map(|(peer, remark)| format!("- *{}*: {remark}.\n", peer.name())).collect()
}

fn name(peer: Peer) -> String {
    match peer {
        Peer::Procstate => format!("**{}**", peer.name()),
        peer if peer.is_rival() => peer.name().to_owned(),
        peer => format!("*{}*", peer.name()),
    }
}

fn ratio(results: &CaseResults, peer: Peer) -> String {
    results.ratio(peer).map_or(String::new(), spread)
}

fn spread(spread: Spread) -> String {
    if spread.min == spread.max {
        return digits(spread.median);
    }
    format!("{} ({}..{})", digits(spread.median), digits(spread.min), digits(spread.max))
}

fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let head: Vec<String> = head.iter().map(|&cell| cell.to_owned()).collect();
    let rule = "|---".repeat(head.len()) + "|\n";
    let rows: String = rows.iter().map(|row| line(row)).collect();
    line(&head) + &rule + &rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::{entry, results, update};

    #[test]
    fn faster_peers_come_first_with_ratios_below_one() {
        let case = update(vec![
            entry(Peer::Procstate, &[2.0, 2.0]),
            entry(Peer::Sqlite, &[9.0, 10.0]),
            entry(Peer::Bare, &[1.0, 1.0]),
        ]);
        let text = write(&results(vec![case]), &[], &[]);
        let rows: Vec<&str> = text.lines().filter(|line| line.contains(" µs |")).collect();
        assert!(rows[0].starts_with("| *bare file* | 1.00 µs | 0.50 |"), "{text}");
        assert!(rows[1].starts_with("| **procstate** | 2.00 µs | 1.00 |"), "{text}");
        assert!(rows[2].starts_with("| SQLite | 9.50 µs | 4.75 (4.50..5.00) |"), "{text}");
    }

    #[test]
    fn a_peer_that_failed_has_no_row() {
        let mut failed = entry(Peer::Sqlite, &[1.0]);
        failed.rounds = vec![None];
        let case = update(vec![entry(Peer::Procstate, &[2.0]), failed]);
        let mut results = results(vec![case]);
        results.failures.push("SQLite: disk full".to_owned());
        let text = write(&results, &[], &[]);
        assert!(!text.contains("| SQLite"), "{text}");
        assert!(text.contains("- SQLite: disk full"), "{text}");
    }

    #[test]
    fn a_missed_goal_is_reported() {
        let goal = Goal {
            what: "speed".to_owned(),
            bound: Bound::AtLeast,
            limit: 5.0,
            measured: Spread { median: 1.2, min: 1.0, max: 2.0 },
            with: "RocksDB".to_owned(),
        };
        let text = goals(&[goal]);
        assert!(text.contains("| speed | RocksDB | ≥ 5 | 1.20 (1.00..2.00) | **missed** |"), "{text}");
    }
}
