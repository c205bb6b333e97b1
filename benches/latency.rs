//! Throughput and latency percentiles of every call as tables: an update compared with a bare loop
//! that makes the same promise, by threads; and each call, by the items of a process.
//!
//!     cargo bench --bench latency               2 minutes
//!
//! The two sides of a comparison alternate. Not a criterion benchmark, which has no percentiles of
//! single calls.

mod common;

use std::time::Duration;

use common::calls::{self, Call, Ready};
use common::resources;
use common::stores::Opened;
use common::table;
use common::times::{Limit, Times};
use common::{bare, is_test};
use procstate::Durability;

const PERCENTS: [f64; 3] = [50.0, 99.0, 99.9];

fn main() {
    common::main(|| {
        println!("{}", resources::machine());
        beside_bare_loops();
        by_items();
    });
}

fn limit(millis: u64) -> Limit {
    Limit { time: Duration::from_millis(if is_test() { 20 } else { millis }), calls: u64::MAX }
}

fn beside_bare_loops() {
    table::head(&[
        "update",
        "a second",
        "each",
        "bare loop",
        "ratio (lowest, highest)",
        "50 % within",
        "99 %",
        "99.9 %",
        "longest",
    ]);
    for (durability, threads) in [
        (Durability::Buffered, 1),
        (Durability::Synced, 1),
        (Durability::Synced, 16),
        (Durability::Synced, 64),
    ] {
        let opened = Opened::with_processes(threads);
        let mut updates = opened.updates(durability);
        let bytes = calls::log_bytes(&opened.store, &mut updates[0]);
        let mut bare = match (durability, threads) {
            (Durability::Buffered, _) => vec![bare::write(bytes)],
            (_, 1) => vec![bare::write_and_sync(bytes)],
            _ => bare::group(threads, bytes),
        };
        let s = if threads == 1 { "" } else { "s" };
        let name = format!("`{durability:?}`, {threads} thread{s}, {bytes} bytes");
        compare(name, &mut updates, &mut bare);
    }
}

/// Alternates rounds of both; returns the median of their ratios.
fn compare(name: String, updates: &mut [Ready], bare: &mut [Ready]) {
    let rounds = if is_test() { 1 } else { 7 };
    let (mut ours, mut theirs) = (Times::default(), Times::default());
    let mut ratios = Vec::new();
    Times::of_threads(limit(200), updates);
    Times::of_threads(limit(200), bare);
    for _ in 0..rounds {
        let bare = Times::of_threads(limit(800), bare);
        let update = Times::of_threads(limit(800), updates);
        ratios.push(update.each().as_secs_f64() / bare.each().as_secs_f64());
        (ours, theirs) = (ours.then(update), theirs.then(bare));
    }
    ratios.sort_by(f64::total_cmp);
    let mut cells = vec![
        name,
        table::digits(ours.per_second()),
        table::time(ours.each()),
        table::time(theirs.each()),
        format!("{:.2} ({:.2}, {:.2})", ratios[rounds / 2], ratios[0], ratios[rounds - 1]),
    ];
    cells.extend(percentiles(&ours));
    table::row(&cells);
}

fn percentiles(times: &Times) -> impl Iterator<Item = String> {
    let within = PERCENTS.map(|percent| table::time(times.percentile(percent)));
    within.into_iter().chain([table::time(times.max())])
}

fn by_items() {
    table::head(&["call", "items", "a second", "50 % within", "99 %", "99.9 %", "longest"]);
    for &items in common::sizes() {
        let opened = Opened::on_disk(items);
        for call in Call::ALL {
            let mut ready = call.on(&opened.process());
            Times::of(limit(100), &mut ready);
            let times = Times::of(limit(1000), &mut ready);
            let mut cells =
                vec![call.name().to_owned(), table::count(items as u64), table::digits(times.per_second())];
            cells.extend(percentiles(&times));
            table::row(&cells);
        }
    }
}
