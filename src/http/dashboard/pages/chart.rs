//! Bar charts of past runs, the latest at the right.

use crate::PastRun;
use crate::http::dashboard::show;

const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 80.0;

/// A chart, in the units of its view box.
pub(crate) struct Chart {
    pub(crate) title: &'static str,
    /// The text alternative.
    pub(crate) summary: String,
    pub(crate) max: String,
    pub(crate) bars: Vec<Bar>,
}

pub(crate) struct Bar {
    pub(crate) x: String,
    pub(crate) y: String,
    pub(crate) width: String,
    pub(crate) height: String,
    pub(crate) state: String,
    pub(crate) text: String,
}

/// Returns charts of the duration and the throughput of `runs`, which are sorted latest first.
pub(crate) fn of(runs: &[PastRun]) -> Vec<Chart> {
    if runs.is_empty() {
        return Vec::new();
    }
    let duration = |run: &PastRun| run.stats.get("duration").copied();
    vec![
        chart("How long each run took", runs, duration, show::seconds_text),
        chart("Items a second", runs, throughput, show::rate),
    ]
}

/// Returns the items per second of a run.
pub(crate) fn throughput(run: &PastRun) -> Option<f64> {
    let (items, seconds) = (run.stats.get("workItems")?, run.stats.get("duration")?);
    Some(items / seconds).filter(|rate| rate.is_finite())
}

fn chart(
    title: &'static str,
    runs: &[PastRun],
    value: impl Fn(&PastRun) -> Option<f64>,
    text: impl Fn(f64) -> String,
) -> Chart {
    let values: Vec<f64> = runs.iter().rev().map(|run| value(run).unwrap_or_default().max(0.0)).collect();
    let max = values.iter().copied().fold(0.0, f64::max);
    #[allow(clippy::cast_precision_loss, reason = "there are few runs")]
    let step = WIDTH / values.len().max(12) as f64;
    let bars = values.iter().zip(runs.iter().rev()).zip(0_u32..).map(|((value, run), n)| {
        let height = if max > 0.0 { (value / max * HEIGHT).max(1.0) } else { 1.0 };
        let start = run.start.map(|time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string());
        let state = show::state(run.state);
        Bar {
            x: format!("{:.1}", f64::from(n) * step),
            y: format!("{:.1}", HEIGHT - height),
            width: format!("{:.1}", step * 0.8),
            height: format!("{height:.1}"),
            text: format!("{}: {}, {state}", start.unwrap_or_default(), text(*value)),
            state,
        }
    });
    let last = values.last().copied().unwrap_or_default();
    Chart {
        title,
        summary: format!("{title}: {} runs, at most {}, the latest {}", runs.len(), text(max), text(last)),
        max: text(max),
        bars: bars.collect(),
    }
}
