//! Actions on a process or an item, each with a confirmation page.

use std::fmt;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use serde::Deserialize;

use crate::ProcessHandle;
use crate::http::app::App;
use crate::http::dashboard::frame::{Frame, page};
use crate::http::dashboard::links::{Link, Name};
use crate::http::dashboard::show;
use crate::http::exchange::address::Prefix;
use crate::http::exchange::input::Names;
use crate::http::exchange::problem::Answer;

/// An action on a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    Pause,
    Resume,
    Run,
    Retry,
    Release,
}

/// An action on an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ItemAction {
    Retry,
    Unregister,
}

/// The texts of an action.
pub(crate) struct Words {
    pub(crate) button: &'static str,
    question: &'static str,
    meaning: &'static str,
}

#[derive(Template)]
#[template(path = "confirm.html")]
struct Confirm {
    frame: Frame,
    question: &'static str,
    meaning: &'static str,
    button: &'static str,
    of: String,
    address: String,
    back: String,
}

impl Action {
    pub(crate) const ALL: [Self; 5] = [Self::Pause, Self::Resume, Self::Run, Self::Retry, Self::Release];

    pub(crate) fn words(self) -> Words {
        let (button, question, meaning) = match self {
            Self::Pause => (
                "Pause",
                "Pause this process?",
                "Its runners start no more items until it is resumed. Items in progress are completed.",
            ),
            Self::Resume => ("Resume", "Resume this process?", "Its runners continue where they stopped."),
            Self::Run => (
                "Run now",
                "Run this process now?",
                "A run is due at once, independent of the schedule. During a run, the next one is due when it has ended.",
            ),
            Self::Retry => (
                "Retry failed",
                "Retry failed items?",
                "Every item that its last run left incomplete or aborted is queued again, and a run for these is due.",
            ),
            Self::Release => (
                "Release",
                "Release the owner's lock?",
                "The owner sends no heartbeats. The next instance that claims the process resumes its run.",
            ),
        };
        Words { button, question, meaning }
    }

    /// Performs the action; returns the number of affected items, if it counts them.
    fn perform(self, process: &ProcessHandle) -> Answer<Option<usize>> {
        match self {
            Self::Pause => process.pause().map(drop)?,
            Self::Resume => process.resume().map(drop)?,
            Self::Run => process.run_now()?,
            Self::Retry => return Ok(Some(process.retry_failed()?)),
            Self::Release => process.release().map(drop)?,
        }
        Ok(None)
    }
}

impl ItemAction {
    pub(crate) const ALL: [Self; 2] = [Self::Retry, Self::Unregister];

    pub(crate) fn words(self) -> Words {
        let (button, question, meaning) = match self {
            Self::Retry => (
                "Retry",
                "Retry this item?",
                "It is queued again, and a run is due that skips completed items.",
            ),
            Self::Unregister => (
                "Unregister",
                "Unregister this item?",
                "It moves to the cleanup list; a run cleans it up and then drops it.",
            ),
        };
        Words { button, question, meaning }
    }

    fn perform(self, process: &ProcessHandle, work: &str) -> Answer<()> {
        match self {
            Self::Retry => process.retry([work]).map(drop)?,
            Self::Unregister => process.unregister(work).map(drop)?,
        }
        Ok(())
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Run => "run",
            Self::Retry => "retry",
            Self::Release => "release",
        })
    }
}

impl fmt::Display for ItemAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Retry => "retry",
            Self::Unregister => "unregister",
        })
    }
}

/// Returns the notice on the page after an action.
pub(crate) fn notice(done: &str, count: Option<&str>) -> Option<String> {
    let text = match done {
        "pause" => "The process is paused.",
        "resume" => "The process is resumed.",
        "run" => "A run is due now.",
        "retry" => match count.and_then(|count| count.parse::<usize>().ok()) {
            Some(0) => "Nothing had failed.",
            Some(count) => return Some(format!("{count} queued again.")),
            None => "Queued again.",
        },
        "release" => "The process no longer has an owner.",
        "register" => "The work is registered.",
        "unregister" => "The work is unregistered.",
        "settings" => "The settings are changed.",
        _ => return None,
    };
    Some(text.to_owned())
}

pub(crate) async fn ask(
    State(app): State<App>,
    prefix: Prefix,
    Names((Name(name), action)): Names<(Name, Action)>,
) -> Answer {
    let back = prefix.page(&name);
    let address = format!("{back}/do/{action}");
    let crumbs = [prefix.process_link(&name)];
    confirm(&app, &prefix, action.words(), (show::text(&name), address, back), crumbs)
}

pub(crate) async fn ask_of_item(
    State(app): State<App>,
    prefix: Prefix,
    Names((Name(name), Name(work), action)): Names<(Name, Name, ItemAction)>,
) -> Answer {
    let back = prefix.item_page(&name, &work);
    let address = format!("{back}/do/{action}");
    let crumbs = [prefix.process_link(&name), prefix.item_link(&name, &work)];
    confirm(&app, &prefix, action.words(), (show::text(&work), address, back), crumbs)
}

fn confirm(
    app: &App,
    prefix: &Prefix,
    words: Words,
    (of, address, back): (String, String, String),
    crumbs: impl IntoIterator<Item = Link>,
) -> Answer {
    let Words { button, question, meaning } = words;
    let frame = Frame::new(app, prefix, question).under(crumbs);
    page(&Confirm { frame, question, meaning, button, of, address, back })
}

pub(crate) async fn act(
    State(app): State<App>,
    prefix: Prefix,
    Names((Name(name), action)): Names<(Name, Action)>,
) -> Answer {
    let page = prefix.page(&name);
    let count = app.on(name, move |process| action.perform(&process)).await?;
    let count = count.map(|count| format!("&count={count}")).unwrap_or_default();
    Ok(Redirect::to(&format!("{page}?done={action}{count}")).into_response())
}

pub(crate) async fn act_on_item(
    State(app): State<App>,
    prefix: Prefix,
    Names((Name(name), Name(work), action)): Names<(Name, Name, ItemAction)>,
) -> Answer {
    let page = prefix.item_page(&name, &work);
    app.on(name, move |process| action.perform(&process, &work)).await?;
    Ok(Redirect::to(&format!("{page}?done={action}")).into_response())
}
