//! What is around every page.

use askama::Template;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::super::app::App;
use super::super::exchange::address::{Prefix, encoded};
use super::super::exchange::problem::{Answer, Problem};
use super::assets;
use super::links::Link;
use crate::text::visible_json;

/// What is around a page.
pub(super) struct Frame {
    pub(super) title: String,
    pub(super) home: String,
    /// What stands before every path.
    pub(super) root: String,
    pub(super) style: String,
    pub(super) script: String,
    pub(super) icon: String,
    pub(super) crumbs: Vec<Link>,
    pub(super) is_read_only: bool,
    /// What was done, on the page after.
    pub(super) notice: Option<String>,
    /// What the script listens to, where the page is one that changes.
    pub(super) watch: Option<Watch>,
}

/// Which changes a page shows.
pub(super) struct Watch {
    pub(super) events: String,
    /// Of which process and item, in JSON.
    pub(super) of: String,
}

impl Frame {
    pub(super) fn new(app: &App, prefix: &Prefix, title: impl Into<String>) -> Self {
        let asset = |asset: &assets::Asset| format!("{}/assets/{}", prefix.as_str(), asset.file);
        Self {
            title: title.into(),
            home: prefix.home(),
            root: prefix.as_str().to_owned(),
            style: asset(&assets::STYLE),
            script: asset(&assets::SCRIPT),
            icon: asset(&assets::ICON),
            crumbs: Vec::new(),
            is_read_only: app.dashboard.is_read_only,
            notice: None,
            watch: None,
        }
    }

    pub(super) fn under(mut self, crumbs: impl IntoIterator<Item = Link>) -> Self {
        self.crumbs = crumbs.into_iter().collect();
        self
    }

    pub(super) fn notice(mut self, notice: Option<String>) -> Self {
        self.notice = notice;
        self
    }

    /// Has the page follow the changes of everything, of a process, or of one of its items.
    pub(super) fn follow(mut self, prefix: &Prefix, process: Option<&str>, work: Option<&str>) -> Self {
        let events = format!("{}/v1/events", prefix.as_str());
        let events = process.map_or(events.clone(), |name| format!("{events}?prefix={}", encoded(name)));
        let of: Value = json!({ "process": process, "work": work });
        // A page cannot have every character in it, and JSON can say every one.
        self.watch = Some(Watch { events, of: visible_json(&of.to_string()).into_owned() });
        self
    }
}

/// A page, written.
pub(super) fn page(template: &impl Template) -> Answer {
    let text = template.render().map_err(|error| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the page could not be written: {error}"))
    })?;
    Ok(html(text))
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    frame: Frame,
    detail: String,
}

/// The page of what went wrong.
pub(super) fn problem(app: &App, prefix: &Prefix, status: StatusCode, detail: &str) -> Answer {
    let title = match status {
        StatusCode::NOT_FOUND => "There is no such thing",
        StatusCode::CONFLICT => "That cannot be done now",
        status if status.is_server_error() => "Something went wrong",
        _ => "That cannot be done",
    };
    page(&ProblemPage { frame: Frame::new(app, prefix, title), detail: super::show::lines(detail) })
}

/// What browsers are told of a page. A form says where it comes from, which the guard asks
/// for, and other sites learn nothing.
fn html(text: String) -> Response {
    const HEADERS: [(HeaderName, &str); 3] = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
             form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ),
        (header::REFERRER_POLICY, "same-origin"),
    ];
    let mut response = text.into_response();
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
