//! The description of the API for programs.

use axum::response::Response;

use super::answer::json;

pub(super) async fn document() -> Response {
    json(include_str!("openapi.json"))
}
