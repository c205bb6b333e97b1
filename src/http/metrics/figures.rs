//! The exported metrics.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::{Registry, Unit};

use crate::proto::{State, Status};
use crate::{List, ProcessHandle, Result, Stats, Store, Timestamp};

/// The maximum number of processes with metrics of their own.
const PROCESSES_MAX: usize = 1000;

/// The number of items per read.
const PAGE: usize = 1000;

type Labels = Vec<(&'static str, String)>;
type Number = Gauge<f64, AtomicU64>;
type Numbers = Family<Labels, Number>;

/// The metrics of the processes.
struct Processes {
    states: Numbers,
    items: Numbers,
    held: Numbers,
    paused: Numbers,
    progress_age: Numbers,
    errors: Numbers,
    duration: Numbers,
    left_out: Number,
}

/// Formats all metrics, omitting those that a stopped store cannot provide.
pub(super) fn text(store: &Store) -> Result<String, std::fmt::Error> {
    let mut registry = Registry::with_prefix("procstate");
    let usable = store.check_usable();
    let number = |value: bool| ConstGauge::new(f64::from(u8::from(value)));
    let poisoned = usable.as_ref().is_err_and(crate::Error::is_poisoned);
    registry.register("poisoned", "Whether an earlier error has stopped the store", number(poisoned));
    registry.register("up", "Whether the store can be read and written", number(usable.is_ok()));
    if usable.is_ok() {
        match store.stats() {
            Ok(stats) => add_stats(&mut registry, &stats),
            Err(error) => tracing::warn!(%error, "the figures of the store could not be read"),
        }
        let processes = Processes::register(&mut registry);
        if let Err(error) = processes.count(store) {
            tracing::warn!(%error, "the processes could not be counted");
        }
    }
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

#[allow(clippy::cast_precision_loss, reason = "figures for charts")]
fn add_stats(registry: &mut Registry, stats: &Stats) {
    let counters = [
        ("commits", "Commits since the store was created", stats.last_seq),
        (
            "log_written_bytes",
            "Bytes appended to the log since the store was opened",
            stats.log_written_bytes,
        ),
        ("checkpoints", "Checkpoints since the store was opened", stats.checkpoints),
        ("snapshots", "Snapshots since the store was opened", stats.snapshots),
    ];
    for (name, help, value) in counters {
        registry.register(name, help, ConstCounter::new(value));
    }
    let gauges = [
        ("records", "Records in the store", stats.records),
        ("disk_bytes", "Bytes in the files of the store", stats.disk_bytes),
        ("synced_commits", "The newest commit that survives power loss", stats.synced_seq),
        ("log_segments", "Segments of the log that are in use", stats.log_segments),
        ("log_bytes", "Bytes of the log since the newest snapshot", stats.log_bytes),
        ("log_free_bytes", "Bytes of preallocated segments ready for use", stats.log_free_bytes),
        ("memtable_records", "Records in the memtable", stats.memtable_records),
        ("memtable_bytes", "Approximate size of the memtable in bytes", stats.memtable_bytes),
        ("checkpoint_commits", "The last commit in the index", stats.checkpoint_seq),
        ("snapshot_commits", "The last commit in the newest snapshot", stats.snapshot_seq),
        ("snapshot_bytes", "Bytes of the newest snapshot", stats.snapshot_bytes),
        ("index_records", "Records in the index", stats.index_records),
        ("index_bytes", "Bytes in the files of the index", stats.index_bytes),
    ];
    for (name, help, value) in gauges {
        registry.register(name, help, ConstGauge::new(value as f64));
    }
    let times = [
        ("checkpoint_duration", "Duration of the last checkpoint", stats.checkpoint_time),
        ("snapshot_duration", "Duration of the last snapshot", stats.snapshot_time),
    ];
    for (name, help, time) in times {
        registry.register_with_unit(name, help, Unit::Seconds, ConstGauge::new(time.as_secs_f64()));
    }
}

impl Processes {
    fn register(registry: &mut Registry) -> Self {
        let this = Self {
            states: Numbers::default(),
            items: Numbers::default(),
            held: Numbers::default(),
            paused: Numbers::default(),
            progress_age: Numbers::default(),
            errors: Numbers::default(),
            duration: Numbers::default(),
            left_out: Number::default(),
        };
        let families = [
            ("processes", "Processes by the state of their latest run", &this.states),
            ("items", "Work items by list and state", &this.items),
            ("held", "Whether a live instance holds the process", &this.held),
            ("paused", "Whether the process is paused", &this.paused),
            ("run_errors", "Errors of the latest run", &this.errors),
        ];
        for (name, help, family) in families {
            registry.register(name, help, family.clone());
        }
        let help = "Time since the last progress";
        registry.register_with_unit("progress_age", help, Unit::Seconds, this.progress_age.clone());
        let help = "Duration of the latest run, so far if it is active";
        registry.register_with_unit("run_duration", help, Unit::Seconds, this.duration.clone());
        let help = "Processes without metrics of their own, because there are too many";
        registry.register("processes_left_out", help, this.left_out.clone());
        this
    }

    fn count(&self, store: &Store) -> Result<()> {
        let mut after = None;
        let mut counted = 0;
        loop {
            let page = store.processes_page("", after.as_deref(), PAGE)?;
            for name in &page.names {
                let process = store.process(name)?;
                if counted < PROCESSES_MAX {
                    self.count_one(&process)?;
                    counted += 1;
                } else {
                    self.left_out.inc();
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    fn count_one(&self, process: &ProcessHandle) -> Result<()> {
        // A process removed meanwhile is not counted.
        let summary = match process.summary() {
            Err(error) if error.is_not_found() => return Ok(()),
            summary => summary?,
        };
        let label = || vec![("process", process.name().to_owned())];
        let set = |family: &Numbers, value: f64| family.get_or_create(&label()).set(value);
        let now = Timestamp::now();
        self.states.get_or_create(&vec![("state", state_name(summary.state))]).inc();
        set(&self.held, f64::from(u8::from(summary.is_held)));
        set(&self.paused, f64::from(u8::from(process.is_paused()?)));
        if let Some(progress) = summary.progress {
            set(&self.progress_age, seconds_between(progress, now));
        }
        if let Some(status) = process.status()? {
            #[allow(clippy::cast_precision_loss, reason = "a figure for charts")]
            set(&self.errors, status.total_errors as f64);
            if let Some(duration) = duration(&status, now) {
                set(&self.duration, duration);
            }
        }
        for ((list, state), count) in count_items(process)? {
            let labels: Labels = label()
                .into_iter()
                .chain([("list", list.to_string()), ("state", state.to_owned())])
                .collect();
            self.items.get_or_create(&labels).set(count);
        }
        Ok(())
    }
}

fn count_items(process: &ProcessHandle) -> Result<BTreeMap<(List, &'static str), f64>> {
    let mut counts = BTreeMap::new();
    for item in List::ALL.into_iter().flat_map(|list| process.items(list)) {
        let item = item?;
        *counts.entry((item.list(), item.state_name())).or_default() += 1.0;
    }
    Ok(counts)
}

fn duration(status: &Status, now: Timestamp) -> Option<f64> {
    let time = |wire: &Option<prost_types::Timestamp>| {
        wire.as_ref().and_then(|wire| Timestamp::new(wire.seconds, wire.nanos).ok())
    };
    let start = time(&status.start_time)?;
    Some(seconds_between(start, time(&status.finish_time).unwrap_or(now)))
}

fn seconds_between(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}

fn state_name(state: State) -> String {
    state.as_str_name().to_ascii_lowercase()
}
