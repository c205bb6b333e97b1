//! The page of a work item.

use askama::Template;
use axum::extract::State;
use serde::Deserialize;

use super::process::{ErrorRow, errors, figures};
use crate::http::app::App;
use crate::http::dashboard::forms::actions;
use crate::http::dashboard::forms::params;
use crate::http::dashboard::frame::{Frame, page};
use crate::http::dashboard::links::{Link, Name};
use crate::http::dashboard::show::{self, ShownTime};
use crate::http::exchange::address::Prefix;
use crate::http::exchange::input::{Names, ParsedQuery};
use crate::http::exchange::problem::Answer;
use crate::proto::{Status, Work};
use crate::{Item, Timestamp};

#[derive(Debug, Deserialize)]
pub(crate) struct View {
    done: Option<String>,
}

#[derive(Template)]
#[template(path = "item.html")]
struct Page {
    frame: Frame,
    name: String,
    address: String,
    state: String,
    /// The list of the item; `None` if the store does not know it.
    list: Option<&'static str>,
    since: Option<ShownTime>,
    modified: Option<ShownTime>,
    times: Vec<(&'static str, ShownTime)>,
    took: Option<String>,
    attempts: u32,
    params: String,
    stats: Vec<(String, String)>,
    total_errors: i64,
    errors: Vec<ErrorRow>,
    actions: Vec<Link>,
}

pub(crate) async fn show(
    State(app): State<App>,
    prefix: Prefix,
    Names((Name(name), Name(work))): Names<(Name, Name)>,
    ParsedQuery(view): ParsedQuery<View>,
) -> Answer {
    let frame = Frame::new(&app, &prefix, show::text(&work))
        .under([prefix.process_link(&name)])
        .follow(&prefix, Some(&name), Some(&work))
        .notice(view.done.as_deref().and_then(|done| actions::notice(done, None)));
    app.on(name, move |process| {
        let address = prefix.item_page(process.name(), &work);
        let page_of = |state: String, item: Option<&Item>| page(&compose(frame, &work, address, state, item));
        match process.item(&work)? {
            Some(item) => page_of(item.response(process.name()).state, Some(&item)),
            None => page_of(process.work(&work)?.state, None),
        }
    })
    .await
}

fn compose(frame: Frame, name: &str, address: String, state: String, item: Option<&Item>) -> Page {
    let now = Timestamp::now();
    let default = (Work::default(), Status::default());
    let work = item.and_then(|item| item.work.as_ref()).unwrap_or(&default.0);
    let status = work.status.as_ref().unwrap_or(&default.1);
    let time = |label, wire| show::wire_moment(wire, now).map(|moment| (label, moment));
    let list = item.map(|item| match item.list {
        crate::List::Active => "active",
        crate::List::Cleanup => "cleanup",
        crate::List::Dropped => "dropped",
    });
    let times = [
        time("Started", status.start_time.as_ref()),
        time("Last progress", status.progress_time.as_ref()),
        time("Finished", status.finish_time.as_ref()),
        time("Last error", status.last_error_time.as_ref()),
    ];
    Page {
        actions: actions::ItemAction::ALL
            .into_iter()
            .filter(|_| list == Some("active"))
            .map(|action| Link {
                text: action.words().button.to_owned(),
                address: format!("{address}/do/{action}"),
            })
            .collect(),
        frame,
        name: show::text(name),
        address,
        state,
        list,
        since: item.and_then(|item| item.since).map(|time| show::moment(time, now)),
        modified: show::wire_moment(work.modified.as_ref(), now),
        took: took(status),
        times: times.into_iter().flatten().collect(),
        attempts: item.map_or(0, |item| item.failed_attempts),
        params: params::to_text(&work.params.clone().unwrap_or_default()),
        stats: figures(status.stats.iter()),
        total_errors: status.total_errors,
        errors: errors(&status.errors, usize::MAX, now),
    }
}

fn took(status: &Status) -> Option<String> {
    let start = show::from_wire(status.start_time.as_ref())?;
    let end = show::from_wire(status.finish_time.as_ref())?;
    Some(show::seconds_text(end.duration_since(start).as_secs_f64().max(0.0)))
}
