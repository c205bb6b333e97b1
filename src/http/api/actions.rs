//! Actions on a whole process.

use std::time::Duration;

use axum::extract::State;
use serde::Deserialize;
use serde_json::json;

use crate::http::app::App;
use crate::http::exchange::answer::{effect, json};
use crate::http::exchange::input::{Json, Names};
use crate::http::exchange::problem::{Answer, Problem};

/// What to purge.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Purge {
    older_than_seconds: f64,
}

/// What to retry: items by name, or all failed ones.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Retry {
    #[serde(default)]
    work: Vec<String>,
    #[serde(default)]
    failed: bool,
}

pub(crate) async fn release(State(app): State<App>, Names(name): Names<String>) -> Answer {
    app.on(name, |process| {
        let released = process.release()?;
        let answer = released.map(|released| {
            json!({ "instance": released.instance, "since": released.since.map(|since| since.to_string()) })
        });
        Ok(json(json!({ "released": answer }).to_string()))
    })
    .await
}

pub(crate) async fn purge(
    State(app): State<App>,
    Names(name): Names<String>,
    Json(asked): Json<Purge>,
) -> Answer {
    let seconds = asked.older_than_seconds;
    if seconds < 0.0 {
        return Err(Problem::bad_request(format!("olderThanSeconds is {seconds}; it must be 0 or more")));
    }
    // Nothing is older than a retention beyond the limit.
    let retention = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    app.on(name, move |process| {
        let purged = process.purge(retention)?;
        Ok(json(json!({ "dropped": purged.dropped, "runs": purged.runs }).to_string()))
    })
    .await
}

pub(crate) async fn pause(State(app): State<App>, Names(name): Names<String>) -> Answer {
    app.on(name, |process| Ok(effect(process.pause()?))).await
}

pub(crate) async fn resume(State(app): State<App>, Names(name): Names<String>) -> Answer {
    app.on(name, |process| Ok(effect(process.resume()?))).await
}

pub(crate) async fn run_now(State(app): State<App>, Names(name): Names<String>) -> Answer {
    app.on(name, |process| {
        process.run_now()?;
        Ok(json(json!({ "nextDue": process.summary()?.next_due.to_string() }).to_string()))
    })
    .await
}

pub(crate) async fn retry(
    State(app): State<App>,
    Names(name): Names<String>,
    Json(asked): Json<Retry>,
) -> Answer {
    if asked.failed != asked.work.is_empty() {
        return Err(Problem::bad_request(
            "send either \"failed\": true or the names of work, \"work\": [...]",
        ));
    }
    app.on(name, move |process| {
        let queued = if asked.failed { process.retry_failed()? } else { process.retry(asked.work)? };
        Ok(json(json!({ "queued": queued }).to_string()))
    })
    .await
}
