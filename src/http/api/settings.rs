//! Settings and schedule.

use std::time::Duration;

use axum::extract::State;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::params::{self, ParamsPatch};
use crate::http::app::App;
use crate::http::exchange::answer::json_at;
use crate::http::exchange::input::{Condition, Json, Names, Object};
use crate::http::exchange::problem::{Answer, Problem};
use crate::{ProcessHandle, Settings};

/// A merge patch of settings (RFC 7396): omitted members stay, `null` removes one.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Patch {
    #[serde(default, deserialize_with = "named")]
    schedule_seconds: Option<Option<f64>>,
    #[serde(default, deserialize_with = "named")]
    offset_seconds: Option<Option<f64>>,
    #[serde(default, deserialize_with = "named")]
    cron: Option<Option<String>>,
    #[serde(default)]
    params: Object<ParamsPatch>,
}

/// Distinguishes `null` from an omitted member.
fn named<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// A change of the schedule; `None`: no change.
#[derive(Default)]
struct Change {
    schedule: Option<Option<Duration>>,
    offset: Option<Option<Duration>>,
    cron: Option<Option<String>>,
}

impl Patch {
    fn change(&self) -> Answer<Change> {
        let is_period = matches!(self.schedule_seconds, Some(Some(_)));
        if is_period && matches!(self.cron, Some(Some(_))) {
            return Err(Problem::bad_request(
                "a process has one schedule; send either scheduleSeconds or cron",
            ));
        }
        let period = |field, asked: Option<Option<f64>>| {
            asked.map(|asked| asked.map(|seconds| duration(field, seconds)).transpose()).transpose()
        };
        Ok(Change {
            schedule: period("scheduleSeconds", self.schedule_seconds)?,
            offset: period("offsetSeconds", self.offset_seconds)?,
            // A period replaces a cron expression.
            cron: if is_period { Some(None) } else { self.cron.clone() },
        })
    }
}

impl Change {
    fn apply(&self, settings: &mut Settings) {
        if let Some(cron) = &self.cron {
            // Removing the expression removes the schedule, unless another is given.
            if cron.is_none() && settings.cron.is_some() {
                (settings.schedule, settings.offset) = (None, None);
            }
            settings.cron.clone_from(cron);
        }
        if let Some(schedule) = self.schedule {
            settings.schedule = schedule;
            if schedule.is_none() {
                settings.offset = None;
                settings.cron = None;
            }
        }
        if let Some(offset) = self.offset {
            settings.offset = offset;
        }
    }
}

/// About 30,000 years.
const SECONDS_MAX: f64 = 1e12;

fn duration(field: &str, seconds: f64) -> Answer<Duration> {
    if seconds > SECONDS_MAX {
        return Err(Problem::bad_request(format!("{field} is {seconds}; it must be {SECONDS_MAX} at most")));
    }
    Duration::try_from_secs_f64(seconds)
        .map_err(|error| Problem::bad_request(format!("{field} is {seconds}: {error}")))
}

/// Converts settings to JSON.
pub(crate) fn to_value(settings: &Settings) -> Value {
    json!({
        "scheduleSeconds": settings.schedule.map(|period| period.as_secs_f64()),
        "offsetSeconds": settings.offset.map(|offset| offset.as_secs_f64()),
        "cron": settings.cron,
        "params": params::to_value(&settings.params),
        "changed": settings.changed.map(|time| time.to_string()),
        "version": settings.version.to_string(),
    })
}

pub(crate) async fn show(State(app): State<App>, Names(name): Names<String>) -> Answer {
    app.on(name, move |process| respond(&process)).await
}

fn respond(process: &ProcessHandle) -> Answer {
    let settings = process.settings()?;
    Ok(json_at(Some(settings.version), to_value(&settings).to_string()))
}

pub(crate) async fn change(
    State(app): State<App>,
    Names(name): Names<String>,
    Condition(condition): Condition,
    Json(patch): Json<Patch>,
) -> Answer {
    let change = patch.change()?;
    app.on(name, move |process| {
        process.change_settings(condition, |settings| {
            change.apply(settings);
            patch.params.0.apply(&mut settings.params);
        })?;
        respond(&process)
    })
    .await
}
