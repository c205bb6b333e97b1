//! The form that registers work or changes its parameters.

use askama::Template;
use axum::extract::{Form, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use serde::Deserialize;

use super::params;
use crate::http::app::App;
use crate::http::dashboard::frame::{Frame, page};
use crate::http::dashboard::links::Name;
use crate::http::dashboard::show;
use crate::http::exchange::address::Prefix;
use crate::http::exchange::input::Names;
use crate::http::exchange::problem::{Answer, Problem};
use crate::{Error, Precondition, ProcessHandle};

/// The submitted form.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Registration {
    #[serde(default)]
    process: String,
    #[serde(default)]
    work: String,
    #[serde(default)]
    params: String,
    #[serde(default)]
    version: u64,
}

#[derive(Template)]
#[template(path = "register.html")]
struct Page {
    frame: Frame,
    address: String,
    back: String,
    asks_process: bool,
    asks_work: bool,
    given: Registration,
    error: Option<String>,
}

/// The variants of the form.
enum Place {
    /// New work of any process, which may not exist yet.
    Anywhere,
    /// New work of this process.
    In(String),
    /// An existing item.
    Again(String, String),
}

impl Place {
    fn frame(&self, app: &App, prefix: &Prefix) -> Frame {
        match self {
            Self::Anywhere => Frame::new(app, prefix, "Register work"),
            Self::In(process) => {
                Frame::new(app, prefix, "Register work").under([prefix.process_link(process)])
            }
            Self::Again(process, work) => Frame::new(app, prefix, "Parameters")
                .under([prefix.process_link(process), prefix.item_link(process, work)]),
        }
    }

    fn form(&self, app: &App, prefix: &Prefix, given: Registration, error: Option<String>) -> Answer {
        let (address, back) = match self {
            Self::Anywhere => (format!("{}/register", prefix.as_str()), prefix.home()),
            Self::In(process) => (format!("{}/register", prefix.page(process)), prefix.page(process)),
            Self::Again(process, work) => {
                let item = prefix.item_page(process, work);
                (format!("{item}/params"), item)
            }
        };
        let (asks_process, asks_work) = match self {
            Self::Anywhere => (true, true),
            Self::In(_) => (false, true),
            Self::Again(..) => (false, false),
        };
        let frame = self.frame(app, prefix);
        page(&Page { frame, address, back, asks_process, asks_work, given, error })
    }

    /// Returns the names in the form and its address.
    fn names(&self, given: &Registration) -> (String, String) {
        match self {
            Self::Anywhere => (given.process.clone(), given.work.clone()),
            Self::In(process) => (process.clone(), given.work.clone()),
            Self::Again(process, work) => (process.clone(), work.clone()),
        }
    }
}

pub(crate) async fn ask_new(State(app): State<App>, prefix: Prefix) -> Answer {
    Place::Anywhere.form(&app, &prefix, Registration::default(), None)
}

pub(crate) async fn ask(State(app): State<App>, prefix: Prefix, Names(Name(name)): Names<Name>) -> Answer {
    Place::In(name).form(&app, &prefix, Registration::default(), None)
}

pub(crate) async fn ask_again(
    State(app): State<App>,
    prefix: Prefix,
    Names((Name(name), Name(work))): Names<(Name, Name)>,
) -> Answer {
    let place = Place::Again(name.clone(), work.clone());
    let item = app.on(name, move |process| Ok(process.item(&work)?)).await?;
    let version = item.as_ref().map_or(0, |item| item.version);
    let params = item.and_then(|item| item.work?.params).unwrap_or_default();
    let given = Registration { params: params::to_text(&params), version, ..Registration::default() };
    place.form(&app, &prefix, given, None)
}

pub(crate) async fn register_new(
    State(app): State<App>,
    prefix: Prefix,
    Form(given): Form<Registration>,
) -> Answer {
    save(&app, &prefix, Place::Anywhere, given).await
}

pub(crate) async fn register(
    State(app): State<App>,
    prefix: Prefix,
    Names(Name(name)): Names<Name>,
    Form(given): Form<Registration>,
) -> Answer {
    save(&app, &prefix, Place::In(name), given).await
}

pub(crate) async fn register_again(
    State(app): State<App>,
    prefix: Prefix,
    Names((Name(name), Name(work))): Names<(Name, Name)>,
    Form(given): Form<Registration>,
) -> Answer {
    save(&app, &prefix, Place::Again(name, work), given).await
}

async fn save(app: &App, prefix: &Prefix, place: Place, given: Registration) -> Answer {
    let params = match params::from_text(&given.params) {
        Ok(params) => params,
        Err(why) => return refuse(app, prefix, &place, given, why),
    };
    let (process, work) = place.names(&given);
    let done = format!("{}?done=register", prefix.item_page(&process, &work));
    let seen = if given.version == 0 { Precondition::Absent } else { Precondition::Version(given.version) };
    let store = app.store.clone();
    let saved = app
        .calls
        .run(move || {
            let process = store.process(&process);
            Ok(process.and_then(|process: ProcessHandle| process.register_if(&work, params, seen)))
        })
        .await?;
    match saved {
        Ok(_) => Ok(Redirect::to(&done).into_response()),
        Err(error) if error.is_precondition_failed() => {
            let why = conflict(&place, &given);
            let form = place.form(app, prefix, given, Some(why.to_owned()))?;
            Ok((StatusCode::CONFLICT, form).into_response())
        }
        Err(error) if error.is_invalid() => refuse(app, prefix, &place, given, words(&error)),
        Err(error) => Err(Problem::from(error)),
    }
}

fn conflict(place: &Place, given: &Registration) -> &'static str {
    match place {
        Place::Again(..) if given.version != 0 => {
            "This item has changed since you opened the form. Nothing was saved: review it, then edit again."
        }
        _ => "Work of that name already exists. Nothing was saved: change its parameters on its own page.",
    }
}

fn refuse(app: &App, prefix: &Prefix, place: &Place, given: Registration, why: String) -> Answer {
    let form = place.form(app, prefix, given, Some(show::text(&why)))?;
    Ok((StatusCode::BAD_REQUEST, form).into_response())
}

fn words(error: &Error) -> String {
    format!("{error:?}")
}
