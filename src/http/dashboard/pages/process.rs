//! The page of a process.

use askama::Template;
use axum::extract::State;
use serde::Deserialize;

use super::chart::{self, Chart};
use super::items::{Filter, Items};
use super::process_summary::{ProcessSummary, Read};
use crate::http::app::App;
use crate::http::dashboard::forms::actions;
use crate::http::dashboard::forms::params;
use crate::http::dashboard::frame::{Frame, page};
use crate::http::dashboard::links::{Link, Name};
use crate::http::dashboard::show::{self, ShownTime};
use crate::http::exchange::address::Prefix;
use crate::http::exchange::input::{Names, ParsedQuery};
use crate::http::exchange::problem::Answer;
use crate::proto::RunError;
use crate::{PastRun, ProcessHandle, Settings, Timestamp};

/// The number of past runs on the page, and of errors of the latest run.
const RUNS: usize = 60;
const ERRORS: usize = 5;

/// Selects the view.
#[derive(Debug, Deserialize)]
pub(crate) struct View {
    #[serde(flatten)]
    filter: Filter,
    done: Option<String>,
    count: Option<String>,
}

#[derive(Template)]
#[template(path = "process.html")]
struct Page {
    frame: Frame,
    address: String,
    process: ProcessSummary,
    actions: Vec<Link>,
    errors: Vec<ErrorRow>,
    schedule: String,
    params: String,
    changed: Option<ShownTime>,
    items: Items,
    runs: Vec<RunRow>,
    charts: Vec<Chart>,
    totals: Vec<(String, String)>,
}

pub(crate) struct ErrorRow {
    pub(crate) time: Option<ShownTime>,
    pub(crate) text: String,
}

struct RunRow {
    start: Option<ShownTime>,
    took: String,
    state: String,
    items: String,
    rate: String,
    errors: i64,
    instance: String,
}

pub(crate) async fn show(
    State(app): State<App>,
    prefix: Prefix,
    Names(Name(name)): Names<Name>,
    ParsedQuery(view): ParsedQuery<View>,
) -> Answer {
    let notice = view.done.as_deref().and_then(|done| actions::notice(done, view.count.as_deref()));
    let frame =
        Frame::new(&app, &prefix, show::text(&name)).follow(&prefix, Some(&name), None).notice(notice);
    let shared = app.dashboard.clone();
    app.on(name, move |process| {
        let now = Timestamp::now();
        let Read { settings, status, glance } = Read::new(&shared, &prefix, &process)?;
        let runs: Vec<PastRun> = process.history()?.into_iter().take(RUNS).collect();
        page(&Page {
            frame,
            address: prefix.page(process.name()),
            actions: links(&prefix, &process, &glance),
            errors: errors(status.as_ref().map_or(&[], |status| &status.errors), ERRORS, now),
            schedule: schedule(&settings),
            params: params::to_text(&settings.params),
            changed: settings.changed.map(|time| show::moment(time, now)),
            items: view.filter.find(&prefix, &process, now)?,
            charts: chart::of(&runs),
            runs: runs.iter().map(|run| run_row(run, now)).collect(),
            totals: figures(process.totals()?.iter()),
            process: glance,
        })
    })
    .await
}

/// Returns the available actions.
fn links(prefix: &Prefix, process: &ProcessHandle, glance: &ProcessSummary) -> Vec<Link> {
    let is_released = glance.owner.as_ref().is_none_or(|owner| owner.lives);
    let page = prefix.page(process.name());
    actions::Action::ALL
        .into_iter()
        .filter(|action| match action {
            actions::Action::Pause => !glance.is_paused,
            actions::Action::Resume => glance.is_paused,
            actions::Action::Release => !is_released,
            actions::Action::Run | actions::Action::Retry => true,
        })
        .map(|action| Link { text: action.words().button.to_owned(), address: format!("{page}/do/{action}") })
        .collect()
}

/// Describes the schedule.
pub(crate) fn schedule(settings: &Settings) -> String {
    match (&settings.cron, settings.schedule) {
        (Some(cron), _) => show::text(cron),
        (None, Some(every)) => {
            let offset = settings.offset.map(|offset| format!(", {} later", show::typed(offset)));
            format!("every {}{}", show::typed(every), offset.unwrap_or_default())
        }
        (None, None) => "whenever it is not held".to_owned(),
    }
}

/// Returns the latest errors, newest first.
pub(crate) fn errors(errors: &[RunError], max: usize, now: Timestamp) -> Vec<ErrorRow> {
    let row = |error: &RunError| ErrorRow {
        time: show::wire_moment(error.time.as_ref(), now),
        text: show::lines(&error.text),
    };
    errors.iter().rev().take(max).map(row).collect()
}

pub(crate) fn figures<'a>(figures: impl Iterator<Item = (&'a String, &'a f64)>) -> Vec<(String, String)> {
    figures.map(|(label, value)| (show::text(label), show::figure(*value))).collect()
}

fn run_row(run: &PastRun, now: Timestamp) -> RunRow {
    let stat = |label: &str| run.stats.get(label).copied().unwrap_or_default();
    RunRow {
        start: run.start.map(|time| show::moment(time, now)),
        took: show::seconds_text(stat("duration")),
        state: show::state(run.state),
        items: show::figure(stat("workItems")),
        rate: chart::throughput(run).map_or("-".to_owned(), show::rate),
        errors: run.total_errors,
        instance: show::text(&run.instance),
    }
}
