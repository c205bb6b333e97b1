//! The form for settings and schedule. It does not overwrite concurrent changes.

use std::time::Duration;

use askama::Template;
use axum::extract::{Form, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use serde::Deserialize;

use super::params;
use crate::http::app::App;
use crate::http::dashboard::frame::{Frame, page};
use crate::http::dashboard::links::Name;
use crate::http::dashboard::pages::process;
use crate::http::dashboard::show::{self, ShownTime};
use crate::http::exchange::address::Prefix;
use crate::http::exchange::input::Names;
use crate::http::exchange::problem::Answer;
use crate::{Params, Precondition, ProcessHandle, Settings, Timestamp};

/// The submitted form.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Edit {
    #[serde(default)]
    every: String,
    #[serde(default)]
    offset: String,
    #[serde(default)]
    cron: String,
    #[serde(default)]
    params: String,
    version: u64,
}

/// The parsed form.
struct Wanted {
    every: Option<Duration>,
    offset: Option<Duration>,
    cron: Option<String>,
    params: Params,
}

#[derive(Template)]
#[template(path = "settings.html")]
struct Page {
    frame: Frame,
    address: String,
    back: String,
    edit: Edit,
    /// The current settings, if they changed since the form was opened.
    conflict: Option<Current>,
    error: Option<String>,
}

struct Current {
    schedule: String,
    params: String,
    changed: Option<ShownTime>,
}

impl Edit {
    fn of(settings: &Settings) -> Self {
        let period = |period: Option<Duration>| {
            period.filter(|_| settings.cron.is_none()).map(show::typed).unwrap_or_default()
        };
        Self {
            every: period(settings.schedule),
            offset: period(settings.offset),
            cron: settings.cron.clone().unwrap_or_default(),
            params: params::to_text(&settings.params),
            version: settings.version,
        }
    }

    fn understand(&self) -> Result<Wanted, String> {
        let cron = Some(self.cron.trim().to_owned()).filter(|cron| !cron.is_empty());
        let every = duration("Every", &self.every)?;
        if cron.is_some() && every.is_some() {
            return Err("A process has one schedule: empty either “Every” or “At”.".to_owned());
        }
        let offset = duration("Later by", &self.offset)?;
        Ok(Wanted { every, offset, cron, params: params::from_text(&self.params)? })
    }
}

fn duration(label: &str, text: &str) -> Result<Option<Duration>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    if let Ok(seconds) = text.parse() {
        return Duration::try_from_secs_f64(seconds).map(Some).map_err(|error| format!("{label}: {error}"));
    }
    let parsed = humantime::parse_duration(text);
    parsed.map(Some).map_err(|error| format!("{label}: {error}; write it like 90s, 1h 30m, or 2d"))
}

fn frame(app: &App, prefix: &Prefix, name: &str) -> Frame {
    Frame::new(app, prefix, "Settings").under([prefix.process_link(name)])
}

pub(crate) async fn ask(State(app): State<App>, prefix: Prefix, Names(Name(name)): Names<Name>) -> Answer {
    let frame = frame(&app, &prefix, &name);
    app.on(name, move |process| {
        let edit = Edit::of(&process.settings()?);
        show_form(frame, &prefix, &process, edit, None, None)
    })
    .await
}

fn show_form(
    frame: Frame,
    prefix: &Prefix,
    process: &ProcessHandle,
    edit: Edit,
    conflict: Option<Current>,
    error: Option<String>,
) -> Answer {
    let back = prefix.page(process.name());
    page(&Page { frame, address: format!("{back}/settings"), back, edit, conflict, error })
}

pub(crate) async fn change(
    State(app): State<App>,
    prefix: Prefix,
    Names(Name(name)): Names<Name>,
    Form(edit): Form<Edit>,
) -> Answer {
    let frame = frame(&app, &prefix, &name);
    app.on(name, move |process| {
        let wrong = |frame: Frame, edit: Edit, why: String| {
            let form = show_form(frame, &prefix, &process, edit, None, Some(show::text(&why)))?;
            Ok((StatusCode::BAD_REQUEST, form).into_response())
        };
        let wanted = match edit.understand() {
            Ok(wanted) => wanted,
            Err(why) => return wrong(frame, edit, why),
        };
        let seen = if edit.version == 0 { Precondition::None } else { Precondition::Version(edit.version) };
        let changed = process.change_settings(seen, |settings| {
            (settings.schedule, settings.offset) = (wanted.every, wanted.offset);
            settings.cron.clone_from(&wanted.cron);
            settings.params.clone_from(&wanted.params);
        });
        match changed {
            Ok(_) => {
                let done = format!("{}?done=settings", prefix.page(process.name()));
                Ok(Redirect::to(&done).into_response())
            }
            Err(error) if error.is_precondition_failed() => {
                let form = show_conflict(frame, &prefix, &process, edit)?;
                Ok((StatusCode::CONFLICT, form).into_response())
            }
            Err(error) if error.is_invalid() => wrong(frame, edit, error.to_string()),
            Err(error) => Err(error.into()),
        }
    })
    .await
}

/// Shows the submitted form next to the changed settings.
///
/// Submitting it again overwrites them.
fn show_conflict(frame: Frame, prefix: &Prefix, process: &ProcessHandle, edit: Edit) -> Answer {
    let settings = process.settings()?;
    let current = Current {
        schedule: process::schedule(&settings),
        params: params::to_text(&settings.params),
        changed: settings.changed.map(|time| show::moment(time, Timestamp::now())),
    };
    let edit = Edit { version: settings.version, ..edit };
    show_form(frame, prefix, process, edit, Some(current), None)
}
