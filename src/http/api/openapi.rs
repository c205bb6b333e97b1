//! The description of the API for programs.

use axum::response::Response;

use crate::http::exchange::answer::json;

pub(crate) async fn document() -> Response {
    json(include_str!("openapi.json"))
}
