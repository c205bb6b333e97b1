//! The overview of all processes.

use askama::Template;
use axum::extract::State;
use serde::Deserialize;

use super::process_summary::{ProcessSummary, Read};
use crate::http::app::App;
use crate::http::dashboard::frame::{Frame, page};
use crate::http::dashboard::links::with_query;
use crate::http::dashboard::show;
use crate::http::exchange::address::Prefix;
use crate::http::exchange::input::ParsedQuery;
use crate::http::exchange::problem::Answer;

/// The number of processes per page.
const PAGE: usize = 50;

/// Selects processes.
#[derive(Debug, Deserialize)]
pub(crate) struct Listing {
    #[serde(default)]
    prefix: String,
    after: Option<String>,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct Page {
    frame: Frame,
    prefix: String,
    processes: Vec<ProcessSummary>,
    /// The addresses of the next page and the first page.
    next: Option<String>,
    first: Option<String>,
}

impl Page {
    /// Returns the text that screen readers announce on a change.
    fn announcement(&self) -> String {
        let on = self.processes.iter().filter(|process| process.class == "active").count();
        format!("{} processes, {on} running", self.processes.len())
    }
}

pub(crate) async fn show(
    State(app): State<App>,
    prefix: Prefix,
    ParsedQuery(asked): ParsedQuery<Listing>,
) -> Answer {
    let frame = Frame::new(&app, &prefix, "Processes").follow(&prefix, None, None);
    let (store, dashboard) = (app.store.clone(), app.dashboard.clone());
    app.calls
        .run(move || {
            let found = store.processes_page(&asked.prefix, asked.after.as_deref(), PAGE)?;
            let mut processes = Vec::with_capacity(found.names.len());
            for name in &found.names {
                match Read::new(&dashboard, &prefix, &store.process(name)?) {
                    Ok(read) => processes.push(read.glance),
                    // It was removed meanwhile.
                    Err(_) if !store.process(name)?.exists()? => {}
                    Err(problem) => return Err(problem),
                }
            }
            let home = prefix.home();
            let at = |after: &str| with_query(&home, &[("prefix", &asked.prefix), ("after", after)]);
            page(&Page {
                frame,
                prefix: show::text(&asked.prefix),
                processes,
                next: found.next.as_deref().map(at),
                first: asked.after.as_ref().map(|_| at("")),
            })
        })
        .await
}
