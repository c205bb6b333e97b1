//! Restores the sign of statistics of -0.0, which is lost between a dynamic message and a generated
//! type.

use std::collections::BTreeMap;

use prost_reflect::{DynamicMessage, MapKey, Value};

use crate::proto::Process;

/// Gives the zeros of `process` the signs that they have in `message`.
pub(super) fn restore(message: &DynamicMessage, process: &mut Process) {
    restore_in(message, "aggregate_stats", &mut process.aggregate_stats);
    if let Some(status) = &mut process.process_status {
        with(message, "process_status", |message| restore_in(message, "stats", &mut status.stats));
    }
    let Some(work) = message.get_field_by_name("active_work") else { return };
    for (name, message) in work.as_map().into_iter().flatten() {
        let work = name.as_str().and_then(|name| process.active_work.get_mut(name));
        if let (Some(message), Some(status)) =
            (message.as_message(), work.and_then(|work| work.status.as_mut()))
        {
            with(message, "status", |message| restore_in(message, "stats", &mut status.stats));
        }
    }
}

fn with(message: &DynamicMessage, field: &str, f: impl FnOnce(&DynamicMessage)) {
    if let Some(value) = message.get_field_by_name(field)
        && let Some(message) = value.as_message()
    {
        f(message);
    }
}

fn restore_in(message: &DynamicMessage, field: &str, stats: &mut BTreeMap<String, f64>) {
    let Some(values) = message.get_field_by_name(field) else { return };
    for (label, value) in values.as_map().into_iter().flatten() {
        if let (MapKey::String(label), Value::F64(value)) = (label, value)
            && let Some(ours) = stats.get_mut(label)
        {
            *ours = *value;
        }
    }
}
