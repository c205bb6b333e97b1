//! Work items: list, read, register, unregister.

use axum::extract::State;
use serde::Deserialize;
use serde_json::json;

use super::params::ParamsBody;
use crate::http::app::App;
use crate::http::exchange::address::Prefix;
use crate::http::exchange::answer::{canonical, json, json_at};
use crate::http::exchange::input::{Condition, Json, Names, Object, ParsedQuery};
use crate::http::exchange::paging::page_size;
use crate::http::exchange::problem::{Answer, Problem};
use crate::proto::WorkResponse;
use crate::{Item, List, Params, ProcessHandle, StoredItem};

/// The maximum number of items that a request reads. Beyond it, the answer has the items found and
/// a token to continue.
const LOOKED_AT_MAX: usize = 20_000;

/// Selects items.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Listing {
    #[serde(default)]
    pub(crate) list: ListName,
    /// The state as in a `WorkResponse`.
    pub(crate) state: Option<String>,
    #[serde(default)]
    pub(crate) prefix: String,
    #[serde(default)]
    pub(crate) errors: bool,
    pub(crate) page_size: Option<usize>,
    pub(crate) page_token: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ListName {
    #[default]
    Active,
    Cleanup,
    Dropped,
}

/// The parameters to register.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Registration {
    #[serde(default)]
    params: Object<ParamsBody>,
}

/// Items to register together.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Batch {
    items: Vec<Object<Named>>,
    /// Whether to unregister all other active work.
    #[serde(default)]
    exact: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Named {
    name: String,
    #[serde(default)]
    params: Object<ParamsBody>,
}

impl From<ListName> for List {
    fn from(name: ListName) -> Self {
        match name {
            ListName::Active => Self::Active,
            ListName::Cleanup => Self::Cleanup,
            ListName::Dropped => Self::Dropped,
        }
    }
}

/// The states of a `WorkResponse`.
const STATES: [&str; 9] =
    ["unspecified", "queued", "active", "aborted", "incomplete", "completed", "cleanup", "dropped", "purged"];

impl Listing {
    fn check(&self) -> Answer<()> {
        match &self.state {
            Some(state) if !STATES.contains(&state.as_str()) => {
                let states = STATES.join(", ");
                Err(Problem::bad_request(format!(
                    "{state:?} is not a state of work; the states are {states}"
                )))
            }
            _ => Ok(()),
        }
    }

    fn wants(&self, item: &StoredItem) -> bool {
        let is_state = self.state.as_deref().is_none_or(|state| state == item.state_name());
        is_state && (!self.errors || item.has_errors())
    }
}

pub(crate) async fn list(
    State(app): State<App>,
    prefix: Prefix,
    Names(name): Names<String>,
    ParsedQuery(asked): ParsedQuery<Listing>,
) -> Answer {
    app.on(name, move |process| {
        let (found, next) = find(&process, &asked)?;
        let mut texts = Vec::with_capacity(found.len());
        for (_, mut response) in found {
            response.uri = prefix.work(process.name(), &response.id);
            texts.push(canonical(&response)?);
        }
        let next = json!(next);
        Ok(json(format!("{{\"work\":[{}],\"nextPageToken\":{next}}}", texts.join(","))))
    })
    .await
}

/// An item and its response.
pub(crate) type Found = (Item, WorkResponse);

/// Returns a page of selected items, and the name after which to continue.
pub(crate) fn find(process: &ProcessHandle, asked: &Listing) -> Answer<(Vec<Found>, Option<String>)> {
    let wanted = page_size(asked.page_size)?;
    asked.check()?;
    let mut items = process.items(asked.list.into()).with_prefix(&asked.prefix);
    if let Some(after) = &asked.page_token {
        items = items.after(after);
    }
    let mut found = Vec::new();
    let mut looked_at = 0;
    while let Some(stored) = items.next().transpose()? {
        looked_at += 1;
        if asked.wants(&stored) {
            let item = stored.to_item()?;
            let response = item.response(process.name());
            found.push((item, response));
        }
        if found.len() == wanted || looked_at == LOOKED_AT_MAX {
            let has_more = items.next().transpose()?.is_some();
            return Ok((found, has_more.then(|| stored.name().to_owned())));
        }
    }
    Ok((found, None))
}

pub(crate) async fn show(
    State(app): State<App>,
    prefix: Prefix,
    Names((name, work)): Names<(String, String)>,
) -> Answer {
    app.on(name, move |process| respond(&process, &work, &prefix)).await
}

/// Returns the response for an item.
fn respond(process: &ProcessHandle, work: &str, prefix: &Prefix) -> Answer {
    let item = process.item(work)?;
    let version = item.as_ref().map(|item| item.version);
    let mut response = match item {
        Some(item) => item.response(process.name()),
        None => process.work(work)?,
    };
    response.uri = prefix.work(process.name(), work);
    Ok(json_at(version, canonical(&response)?))
}

pub(crate) async fn register(
    State(app): State<App>,
    prefix: Prefix,
    Names((name, work)): Names<(String, String)>,
    Condition(condition): Condition,
    Json(body): Json<Registration>,
) -> Answer {
    app.on(name, move |process| {
        process.register_if(&work, body.params.0.into(), condition)?;
        respond(&process, &work, &prefix)
    })
    .await
}

pub(crate) async fn unregister(
    State(app): State<App>,
    prefix: Prefix,
    Names((name, work)): Names<(String, String)>,
    Condition(condition): Condition,
) -> Answer {
    app.on(name, move |process| {
        process.unregister_if(&work, condition)?;
        respond(&process, &work, &prefix)
    })
    .await
}

pub(crate) async fn register_all(
    State(app): State<App>,
    Names(name): Names<String>,
    Json(body): Json<Batch>,
) -> Answer {
    app.on(name, move |process| {
        let items: Vec<(String, Params)> =
            body.items.into_iter().map(|Object(item)| (item.name, item.params.0.into())).collect();
        if items.is_empty() && !body.exact {
            return Err(Problem::bad_request("there are no items in the request"));
        }
        let tally = if body.exact { process.sync_work(items)? } else { process.register_all(items)? };
        let (changed, unchanged, unregistered) = (tally.changed, tally.unchanged, tally.unregistered);
        let tally = json!({ "changed": changed, "unchanged": unchanged, "unregistered": unregistered });
        Ok(json(tally.to_string()))
    })
    .await
}
