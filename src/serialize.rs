//! `Serialize` for the types that the store returns (feature `serde`).
//!
//! Names are in camel case, as in the tool's `--json` output; times are RFC 3339 strings, periods
//! are seconds, and states have their wire names in lower case.

use std::time::Duration;

use jiff::Timestamp;
use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::engine::Stats;
use crate::model::{List, time};
use crate::proto::{Params, RunError, State, Status, Work};
use crate::store::{Item, PastRun, Settings, Summary};

/// Serializes a type by its members.
macro_rules! serialize {
    ($type:ident, $this:ident: $($name:literal = $value:expr,)*) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let ($this, count) = (self, [$($name),*].len());
                let mut members = serializer.serialize_struct(stringify!($type), count)?;
                $(members.serialize_field($name, &$value)?;)*
                members.end()
            }
        }
    };
}

fn text(time: Option<Timestamp>) -> Option<String> {
    time.map(|time| time.to_string())
}

fn wire(wire: &Option<prost_types::Timestamp>) -> Option<String> {
    text(time::read(wire))
}

fn seconds(period: Option<Duration>) -> Option<f64> {
    period.map(|period| period.as_secs_f64())
}

fn state(state: State) -> String {
    state.as_str_name().to_ascii_lowercase()
}

serialize! { Summary, summary:
    "name" = summary.name,
    "state" = state(summary.state),
    "instance" = summary.instance,
    "whereabouts" = summary.whereabouts,
    "claimed" = text(summary.claimed),
    "isHeld" = summary.is_held,
    "progress" = text(summary.progress),
    "ended" = summary.ended,
    "failed" = summary.failed,
    "active" = summary.active,
    "cleanup" = summary.cleanup,
    "dropped" = summary.dropped,
    "nextDue" = text(Some(summary.next_due)),
}

serialize! { Settings, settings:
    "scheduleSeconds" = seconds(settings.schedule),
    "offsetSeconds" = seconds(settings.offset),
    "cron" = settings.cron,
    "maxFailedItems" = settings.max_failed_items.map(|limit| limit.to_string()),
    "minIntervalSeconds" = seconds(settings.min_interval),
    "params" = settings.params,
    "changed" = text(settings.changed),
    "version" = settings.version,
}

serialize! { Item, item:
    "name" = item.name,
    "list" = item.list,
    "since" = text(item.since),
    "work" = item.work,
    "version" = item.version,
    "failedAttempts" = item.failed_attempts,
}

serialize! { PastRun, run:
    "instance" = run.instance,
    "start" = text(run.start),
    "finish" = text(run.finish),
    "state" = state(run.state),
    "stats" = run.stats,
    "errors" = run.errors,
    "totalErrors" = run.total_errors,
}

serialize! { Stats, stats:
    "engine" = stats.engine,
    "processes" = stats.processes,
    "records" = stats.records,
    "diskBytes" = stats.disk_bytes,
    "lastSeq" = stats.last_seq,
    "syncedSeq" = stats.synced_seq,
    "logSegments" = stats.log_segments,
    "logBytes" = stats.log_bytes,
    "logFreeBytes" = stats.log_free_bytes,
    "logWrittenBytes" = stats.log_written_bytes,
    "memtableRecords" = stats.memtable_records,
    "memtableBytes" = stats.memtable_bytes,
    "checkpointSeq" = stats.checkpoint_seq,
    "checkpoints" = stats.checkpoints,
    "checkpointSeconds" = seconds(Some(stats.checkpoint_time)),
    "snapshotSeq" = stats.snapshot_seq,
    "snapshotBytes" = stats.snapshot_bytes,
    "snapshots" = stats.snapshots,
    "snapshotSeconds" = seconds(Some(stats.snapshot_time)),
    "indexRecords" = stats.index_records,
    "indexBytes" = stats.index_bytes,
}

serialize! { Params, params:
    "intParams" = params.int_params,
    "stringParams" = params.string_params,
}

serialize! { Work, work:
    "modified" = wire(&work.modified),
    "params" = work.params,
    "status" = work.status,
}

serialize! { Status, status:
    "startTime" = wire(&status.start_time),
    "progressTime" = wire(&status.progress_time),
    "finishTime" = wire(&status.finish_time),
    "lastErrorTime" = wire(&status.last_error_time),
    "stats" = status.stats,
    "errors" = status.errors,
    "totalErrors" = status.total_errors,
    "state" = state(status.state()),
}

serialize! { RunError, error:
    "time" = wire(&error.time),
    "text" = error.text,
}

impl Serialize for List {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
