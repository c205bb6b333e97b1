//! The plots.

use std::path::Path;

use anyhow::Result;
use plotters::style::RGBColor;

use super::chart::{Axis, Chart, Line};
use super::numbers::{bytes, count, digits, round, time};
use crate::measure::{Sample, Work};
use crate::peers::{Class, Peer};
use crate::plan::{Case, Part};
use crate::results::{Entry, Results};

/// A finished plot.
pub struct Plot {
    pub file: String,
    pub title: String,
}

/// Draws the plots for which there are results.
pub fn draw(results: &Results, folder: &Path, prefix: &str) -> Result<Vec<Plot>> {
    let [dies, fails] = Class::ALL;
    let charts = [
        ("update-by-items", by_items(results, Work::Update, "An update, by the items of its process")),
        ("throughput-program-death", by_threads(results, dies)),
        ("throughput-power-loss", by_threads(results, fails)),
        ("latency-program-death", latency(results, dies)),
        ("latency-power-loss", latency(results, fails)),
        ("disk-by-updates", by_updates(results, "Disk, while 100 items are updated", |sample| sample.disk)),
        (
            "memory-by-updates",
            by_updates(results, "Memory, while 100 items are updated", |sample| sample.memory),
        ),
        ("open-by-items", by_items(results, Work::Open, "Opening after a kill, until an item is read")),
    ];
    let mut plots = Vec::new();
    for (name, chart) in charts {
        if chart.lines.iter().any(|line| line.points.len() > 1) {
            let file = format!("{prefix}{name}.svg");
            chart.draw(&folder.join(&file))?;
            plots.push(Plot { file, title: chart.title });
        }
    }
    Ok(plots)
}

fn by_items(results: &Results, work: Work, title: &str) -> Chart {
    let cases: Vec<_> = results.part(Part::Sizes).filter(|results| results.case.work == work).collect();
    let points = |peer| {
        let entries = cases.iter().filter_map(move |case| Some((case.case.items, case.entry(peer)?)));
        entries.map(|(items, entry)| (items as f64, entry.micros())).collect()
    };
    let sizes = cases.iter().map(|case| case.case.items as f64).collect();
    Chart {
        title: title.to_owned(),
        x: Axis {
            label: "items",
            is_log: true,
            tick: |items| count(items.round() as u64),
            ticks: Some(sizes),
        },
        y: log_axis("time", round_time),
        lines: lines(cases.iter().flat_map(|case| &case.entries), true, points),
    }
}

fn by_threads(results: &Results, class: Class) -> Chart {
    let is_update = |case: &Case| case.work == Work::Update && case.class == Some(class);
    let cases: Vec<_> = results.part(Part::Calls).filter(|results| is_update(&results.case)).collect();
    let points = |peer| {
        let entries = cases.iter().filter_map(move |case| Some((case.case.threads, case.entry(peer)?)));
        entries.map(|(threads, entry)| (threads as f64, 1e6 / entry.micros())).collect()
    };
    let threads = cases.iter().map(|case| case.case.threads as f64).collect();
    Chart {
        title: format!("Updates a second, {}", class.title()),
        x: Axis { label: "threads", is_log: true, tick: digits_of_count, ticks: Some(threads) },
        y: log_axis("updates a second", digits_of_count),
        lines: lines(cases.iter().flat_map(|case| &case.entries), true, points),
    }
}

/// Plots the latency distribution of calls.
fn latency(results: &Results, class: Class) -> Chart {
    let case = results.call(Work::Update, Some(class), 1);
    let points = |peer| {
        let latency = case.and_then(|case| case.entry(peer)?.median()?.latency.as_ref());
        let curve = latency.map_or(&[][..], |latency| &latency.curve[..]);
        curve.iter().map(|(percent, micros)| (100.0 / (100.0 - percent), *micros)).collect()
    };
    Chart {
        title: format!("How long updates take, {}, 1 thread", class.title()),
        x: log_axis("of all updates", percent_within),
        y: log_axis("take no longer than", round_time),
        lines: lines(case.into_iter().flat_map(|case| &case.entries), false, points),
    }
}

fn by_updates(results: &Results, title: &str, of: fn(&Sample) -> u64) -> Chart {
    let case = results.part(Part::Endurance).next();
    let points = |peer| {
        let outcome = case.and_then(|case| case.entry(peer)?.median());
        let samples = outcome.map_or(&[][..], |outcome| &outcome.samples[..]);
        samples.iter().map(|sample| (sample.calls as f64, of(sample) as f64)).collect()
    };
    Chart {
        title: title.to_owned(),
        x: Axis {
            label: "updates",
            is_log: false,
            tick: |updates| count(updates.round() as u64),
            ticks: None,
        },
        y: log_axis("bytes", |value| round(&bytes(value))),
        lines: lines(case.into_iter().flat_map(|case| &case.entries), false, points),
    }
}

fn log_axis(label: &'static str, tick: fn(f64) -> String) -> Axis {
    Axis { label, is_log: true, tick, ticks: None }
}

fn round_time(micros: f64) -> String {
    round(&time(micros))
}

fn digits_of_count(value: f64) -> String {
    if value >= 1.0 { count(value.round() as u64) } else { digits(value) }
}

/// Formats one in ten as 90 %.
fn percent_within(one_in: f64) -> String {
    let decimals = (one_in.log10().round() as usize).saturating_sub(2);
    format!("{:.decimals$} %", 100.0 - 100.0 / one_in)
}

/// Returns a line for each peer among the entries.
fn lines<'a>(
    entries: impl Iterator<Item = &'a Entry>,
    has_points: bool,
    points: impl Fn(Peer) -> Vec<(f64, f64)>,
) -> Vec<Line> {
    let mut peers: Vec<Peer> = entries.map(|entry| entry.peer).collect();
    peers.sort();
    peers.dedup();
    let line = |peer: Peer| Line {
        name: peer.name().to_owned(),
        color: color(peer),
        is_bold: peer == Peer::Procstate,
        has_points,
        points: points(peer).into_iter().filter(|(_, y)| y.is_finite()).collect(),
    };
    peers.into_iter().map(line).collect()
}

/// The color of a peer in every plot.
fn color(peer: Peer) -> RGBColor {
    match peer {
        Peer::Procstate => RGBColor(213, 40, 40),
        Peer::ProcstateInBackground => RGBColor(240, 140, 140),
        Peer::ProcstateUndecoded => RGBColor(240, 170, 120),
        Peer::Sqlite => RGBColor(0, 114, 178),
        Peer::Lmdb => RGBColor(0, 130, 90),
        Peer::LmdbNosync => RGBColor(110, 190, 120),
        Peer::Redb => RGBColor(150, 75, 0),
        Peer::Fjall => RGBColor(75, 60, 180),
        #[cfg(feature = "rocksdb")]
        Peer::Rocksdb => RGBColor(200, 130, 0),
        Peer::Sled => RGBColor(190, 70, 150),
        Peer::Blob => RGBColor(100, 100, 100),
        Peer::Bare => RGBColor(20, 20, 20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::{entry, results, update};

    #[test]
    fn percents_have_as_many_nines_as_they_need() {
        let percents = [1.0, 10.0, 100.0, 1_000.0, 100_000.0].map(percent_within);
        assert_eq!(percents, ["0 %", "90 %", "99 %", "99.9 %", "99.999 %"]);
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let one_point = update(vec![entry(Peer::Procstate, &[1.0])]);
        assert!(draw(&results(vec![one_point]), folder.path(), "").unwrap().is_empty());
    }
}
