//! What changes, as server-sent events.
//!
//! One reader of the change feed serves all clients: a commit costs the same however many
//! listen. It gathers what comes within a fifth of a second, and longer where more than a
//! hundred listen, into one block, in which each record comes once, and keeps the last blocks
//! for clients that come back. A client reads them at its own pace; one that is too slow for
//! them is told that it missed something, and holds nobody up.

mod block;
mod gather;
mod ring;
mod stream;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use serde::Deserialize;

pub(super) use gather::Hub;

use super::app::App;
use super::exchange::input::ParsedQuery;
use super::exchange::problem::{Answer, Problem};

/// Which events.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Listening {
    /// Of processes whose names begin so.
    #[serde(default)]
    prefix: String,
    /// For clients that cannot send the header.
    last_event_id: Option<u64>,
}

pub(super) async fn listen(
    State(app): State<App>,
    headers: HeaderMap,
    ParsedQuery(asked): ParsedQuery<Listening>,
) -> Answer {
    let last = last_event_id(&headers)?.or(asked.last_event_id);
    if !app.events.is_on() {
        // It reads the store, for a moment.
        let (hub, store) = (app.events.clone(), app.store.clone());
        let watched = app.calls.run(move || Ok(hub.watch(&store)?)).await?;
        app.events.start(watched);
    }
    let client = stream::Client::new(&app.events, last, asked.prefix);
    let body = Body::from_stream(client.into_stream(app.closes.clone()));
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, "text/event-stream")], body).into_response())
}

fn last_event_id(headers: &HeaderMap) -> Answer<Option<u64>> {
    let Some(id) = headers.get("last-event-id") else { return Ok(None) };
    let number = id.to_str().ok().and_then(|id| id.trim().parse().ok());
    let wrong = || Problem::bad_request("Last-Event-ID is not the id of an event of this server");
    number.map(Some).ok_or_else(wrong)
}
