//! The OpenAPI description.

use axum::response::Response;

use crate::http::exchange::answer::json;

pub(crate) async fn document() -> Response {
    json(include_str!("openapi.json"))
}
