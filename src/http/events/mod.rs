//! The change feed as server-sent events.
//!
//! One reader of the change feed serves all clients, so that the cost of a commit does not depend
//! on their number. It collects the changes of a fifth of a second, or more with over a hundred
//! clients, into one block with each record once, and keeps the last blocks for reconnecting
//! clients. Clients read the blocks at their own pace; a client that is too slow is told that it
//! missed changes, and never blocks others.

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

/// Selects events.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Listening {
    /// The prefix of the process names.
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
        // This may read the store.
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
