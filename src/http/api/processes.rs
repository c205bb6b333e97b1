//! Processes: list, summary, whole state, past runs.

use axum::extract::State;
use axum::http::header::{self, HeaderMap};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::settings;
use crate::http::app::App;
use crate::http::exchange::address::Prefix;
use crate::http::exchange::answer::{canonical, canonical_value, json, prefers_protobuf, value};
use crate::http::exchange::input::{Names, ParsedQuery};
use crate::http::exchange::paging::page_size;
use crate::http::exchange::problem::Answer;
use crate::{ProcessHandle, interchange};

/// Selects a page of processes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Listing {
    #[serde(default)]
    prefix: String,
    page_size: Option<usize>,
    page_token: Option<String>,
}

/// Selects a page of past runs.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Past {
    page_size: Option<usize>,
    page_token: Option<usize>,
}

pub(crate) async fn list(
    State(app): State<App>,
    prefix: Prefix,
    ParsedQuery(asked): ParsedQuery<Listing>,
) -> Answer {
    let store = app.store.clone();
    app.calls
        .run(move || {
            let after = asked.page_token.as_deref();
            let page = store.processes_page(&asked.prefix, after, page_size(asked.page_size)?)?;
            let mut processes = Vec::with_capacity(page.names.len());
            for name in &page.names {
                processes.push(glance(&prefix, &store.process(name)?)?);
            }
            Ok(json(json!({ "processes": processes, "nextPageToken": page.next }).to_string()))
        })
        .await
}

/// Returns the summary of a process.
fn glance(prefix: &Prefix, process: &ProcessHandle) -> Answer<serde_json::Value> {
    let mut summary = value(&process.summary()?)?;
    if let Some(members) = summary.as_object_mut() {
        members.insert("isPaused".to_owned(), process.is_paused()?.into());
        members.insert("uri".to_owned(), prefix.process(process.name()).into());
    }
    Ok(summary)
}

pub(crate) async fn show(State(app): State<App>, prefix: Prefix, Names(name): Names<String>) -> Answer {
    app.on(name, move |process| {
        let mut shown = glance(&prefix, &process)?;
        let status = process.status()?.map(|status| canonical_value(&status)).transpose()?;
        if let Some(members) = shown.as_object_mut() {
            members.insert("settings".to_owned(), settings::to_value(&process.settings()?));
            members.insert("status".to_owned(), status.into());
            members.insert("totals".to_owned(), value(&process.totals()?)?);
        }
        Ok(json(shown.to_string()))
    })
    .await
}

pub(crate) async fn state(State(app): State<App>, headers: HeaderMap, Names(name): Names<String>) -> Answer {
    let as_protobuf = prefers_protobuf(&headers);
    app.on(name, move |process| {
        let state = process.snapshot()?;
        if as_protobuf {
            return Ok(protobuf(interchange::to_binary(&state)));
        }
        Ok((VARIES, json(canonical(&state)?)).into_response())
    })
    .await
}

const VARIES: [(header::HeaderName, &str); 1] = [(header::VARY, "Accept")];

fn protobuf(bytes: Vec<u8>) -> Response {
    (VARIES, [(header::CONTENT_TYPE, "application/x-protobuf")], bytes).into_response()
}

pub(crate) async fn history(
    State(app): State<App>,
    Names(name): Names<String>,
    ParsedQuery(asked): ParsedQuery<Past>,
) -> Answer {
    app.on(name, move |process| {
        let runs = process.history()?;
        let from = asked.page_token.unwrap_or_default();
        let to = from.saturating_add(page_size(asked.page_size)?);
        let page = runs.get(from.min(runs.len())..to.min(runs.len())).unwrap_or_default();
        let next = (to < runs.len()).then(|| to.to_string());
        Ok(json(json!({ "runs": value(&page)?, "nextPageToken": next }).to_string()))
    })
    .await
}
