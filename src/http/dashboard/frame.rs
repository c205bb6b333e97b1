//! The layout around every page.

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

/// The layout around a page.
pub(super) struct Frame {
    pub(super) title: String,
    pub(super) home: String,
    /// The prefix of every path.
    pub(super) root: String,
    pub(super) style: String,
    pub(super) script: String,
    pub(super) icon: String,
    pub(super) crumbs: Vec<Link>,
    pub(super) is_read_only: bool,
    /// The notice about a completed action.
    pub(super) notice: Option<String>,
    /// The events that the script follows, on pages that update.
    pub(super) watch: Option<Watch>,
}

/// The changes that a page shows.
pub(super) struct Watch {
    pub(super) events: String,
    /// The process and item, in JSON.
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

    /// Makes the page follow all changes, or those of a process or an item.
    pub(super) fn follow(mut self, prefix: &Prefix, process: Option<&str>, work: Option<&str>) -> Self {
        let events = format!("{}/v1/events", prefix.as_str());
        let events = process.map_or(events.clone(), |name| format!("{events}?prefix={}", encoded(name)));
        let of: Value = json!({ "process": process, "work": work });
        // HTML cannot represent every character, but JSON can escape them.
        self.watch = Some(Watch { events, of: visible_json(&of.to_string()).into_owned() });
        self
    }
}

/// Renders a page.
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

/// Renders the page for an error.
pub(super) fn problem(app: &App, prefix: &Prefix, status: StatusCode, detail: &str) -> Answer {
    let title = match status {
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::CONFLICT => "This is not possible now",
        status if status.is_server_error() => "Something went wrong",
        _ => "This is not possible",
    };
    page(&ProblemPage { frame: Frame::new(app, prefix, title), detail: super::show::lines(detail) })
}

/// Adds the security headers.
///
/// Forms must send their origin, which the guard requires, but other sites learn nothing.
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
