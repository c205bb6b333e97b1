//! The dashboard: pages that show progress and failures, and offer actions.
//!
//! Every page is rendered here and works without a script, with links, forms, and confirmation
//! pages. The script follows the change feed, fetches the same page again after a change, and
//! applies the differences.
//!
//! Text from the store goes through [`show`], which escapes characters that would hide or reorder
//! text; the templates escape the rest for HTML.

mod assets;
mod forms;
mod frame;
mod links;
mod pages;
mod show;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

pub(super) use pages::counted::Dashboard;

use super::app::App;
use super::exchange::address::Prefix;
use super::exchange::problem::Detail;

/// Returns the routes of pages and assets.
pub(super) fn routes(app: &App) -> Router<App> {
    let pages = Router::new()
        .route("/", get(pages::overview::show))
        .route("/register", get(forms::register::ask_new).post(forms::register::register_new))
        .route("/processes/{process}", get(pages::process::show))
        .route("/processes/{process}/settings", get(forms::settings::ask).post(forms::settings::change))
        .route("/processes/{process}/register", get(forms::register::ask).post(forms::register::register))
        .route("/processes/{process}/do/{action}", get(forms::actions::ask).post(forms::actions::act))
        .route("/processes/{process}/work/{work}", get(pages::item::show))
        .route(
            "/processes/{process}/work/{work}/params",
            get(forms::register::ask_again).post(forms::register::register_again),
        )
        .route(
            "/processes/{process}/work/{work}/do/{action}",
            get(forms::actions::ask_of_item).post(forms::actions::act_on_item),
        );
    let pages =
        if app.dashboard.is_read_only { pages.route_layer(from_fn(super::guard::read_only)) } else { pages };
    pages
        .route_layer(from_fn_with_state(app.clone(), tell_problems))
        .route("/assets/{file}", get(assets::serve))
}

/// Renders problems as pages instead of JSON.
async fn tell_problems(
    axum::extract::State(app): axum::extract::State<App>,
    prefix: Prefix,
    request: Request,
    next: Next,
) -> Response {
    let response = next.run(request).await;
    let Some(Detail(detail)) = response.extensions().get() else { return response };
    let status = response.status();
    let page = frame::problem(&app, &prefix, status, detail);
    page.map_or_else(IntoResponse::into_response, |page| (status, page).into_response())
}
