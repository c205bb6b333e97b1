//! The style sheet, the script and the icon, compiled in, at addresses that contain a hash of the
//! content.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::super::exchange::problem::{Answer, Problem};

/// A file that pages refer to.
#[derive(Debug)]
pub(super) struct Asset {
    /// The name, with a hash of the content.
    pub(super) file: String,
    kind: &'static str,
    text: &'static str,
}

impl Asset {
    fn new(stem: &str, extension: &str, kind: &'static str, text: &'static str) -> Self {
        Self { file: format!("{stem}-{:08x}.{extension}", crc32fast::hash(text.as_bytes())), kind, text }
    }
}

pub(super) static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("dashboard", "css", "text/css; charset=utf-8", include_str!("assets/dashboard.css"))
});

pub(super) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("dashboard", "js", "text/javascript; charset=utf-8", include_str!("assets/dashboard.js"))
});

pub(super) static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_str!("assets/icon.svg")));

pub(super) async fn serve(Path(file): Path<String>) -> Answer {
    let assets = [&STYLE, &SCRIPT, &ICON];
    match assets.into_iter().find(|asset| asset.file == file) {
        Some(asset) => Ok(respond(asset)),
        None => Err(Problem::new(StatusCode::NOT_FOUND, format!("there is no asset {file:?}"))),
    }
}

fn respond(asset: &Asset) -> Response {
    let headers =
        [(header::CONTENT_TYPE, asset.kind), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")];
    (headers, asset.text).into_response()
}
